/** What a method's record must have, where somebody gives one. */
import {
  callback,
  flag,
  having,
  instance,
  leaf,
  listOf,
  name,
  oneOf,
  optional,
  type Rule,
} from "@lowrank/tensor/check";
import type { FileKeys, Method } from "./method.ts";

const SWITCH: Rule<FileKeys<object>["notBuilt"][number]> = leaf(
  "a key and when it is refused",
  (v) => Array.isArray(v) && typeof v[0] === "string" && typeof v[1] === "function",
);

const FILE: Rule<FileKeys<object>> = having<FileKeys<object>>("the keys of its files (FileKeys)", {
  className: name,
  rules: having("a rule for each key", {}),
  notBuilt: listOf(SWITCH),
  harmless: listOf(name),
  meant: optional(having("a key for each word", {})),
});

export const METHOD: Rule<Method> = having<Method>("the record of an adapter method (a Method)", {
  name,
  label: name,
  peftType: name,
  file: FILE,
  tensors: instance(RegExp),
  targets: oneOf("lora", "ia3", "ia3Feedforward", "vera", "adalora"),
  usualNames: optional(listOf(listOf(name))),
  cutsVocabulary: flag,
  defaults: callback(),
  parse: callback(),
  write: callback(),
  resolve: callback(),
  make: callback(),
  claims: optional(callback()),
  meantBy: optional(callback()),
  checkStart: optional(callback()),
  start: optional(callback()),
  completed: optional(callback()),
  idle: optional(callback()),
  scaled: optional(callback()),
  saved: optional(callback()),
  keeping: optional(callback()),
});

const A_NAME: Rule<string> = leaf("the name of an adapter method or its record", (v) => typeof v === "string");
/** `method` among options. */
export const A_METHOD: Rule<Method | string> = {
  expects: A_NAME.expects,
  read(value, at) {
    // of a record what it lacks is named
    if (typeof value === "object" && value !== null) return METHOD.read(value, at);
    return A_NAME.read(value, at);
  },
};
