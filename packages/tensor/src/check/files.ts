/** A store of files among arguments, told by its parts: anybody's may be given. */
import type { Files } from "../files/store.ts";
import { callback, having, text, type Rule } from "./rules.ts";

export const files: Rule<Files> = having<Files>("a store of files, such as directory(path) gives", {
  where: text,
  exists: callback(),
  text: callback(),
  open: callback(),
});
