/** A store of files among arguments, told by its parts: anybody's may be given. */
import type { Files, WritableFiles } from "../files/store.ts";
import { callback, having, optional, text, type Rule, type Rules } from "./rules.ts";

const MEMBERS: Partial<Rules<Files>> = { where: text, exists: callback(), text: callback(), open: callback() };

export const files: Rule<Files> = having<Files>("a store of files, such as directory(path) gives", MEMBERS);

export const writableFiles: Rule<WritableFiles> = having<WritableFiles>(
  "a store of files that can be written, such as directory(path) gives",
  { ...MEMBERS, write: callback(), remove: optional(callback()) },
);
