/** Checks of what comes from outside, shared by all packages; and the JSON that goes out to Python. */
/** Errors, too: who only checks and reports starts without the engine. */
export { InvariantError, LowrankError, printable, quote } from "../errors.ts";
export { isAbsent } from "../files/absence.ts";
export { device } from "./device.ts";
export { files, writableFiles } from "./files.ts";
export { parseJson } from "./json.ts";
export { editDistance, nearestName, suggestion } from "./nearest.ts";
export { pythonFloat, pythonJson, type PythonJsonOptions } from "./python-json.ts";
export {
  absent,
  anyOf,
  anything,
  callback,
  checkFile,
  checkOptions,
  fields,
  flag,
  having,
  instance,
  LARGEST_SIZE,
  leaf,
  listOf,
  mapOf,
  name,
  oneOf,
  optional,
  positive,
  probability,
  real,
  refuse,
  size,
  text,
  whole,
  type FieldOptions,
  type Place,
  type Range,
  type Rule,
  type Rules,
} from "./rules.ts";
export { pattern, type Found, type Pattern } from "./pattern.ts";
export type { SyntaxOptions } from "./pattern-syntax.ts";
