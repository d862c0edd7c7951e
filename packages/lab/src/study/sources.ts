/** What has become of a run that another needs, as the store tells it: to whichever process asks. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseJson } from "@lowrank/tensor/check";
import { z } from "zod";
import { validate } from "../config/validate.ts";
import { readText } from "../data/read-file.ts";
import { DivergedError, InputError } from "../errors.ts";
import type { RunStore } from "../store/run-store.ts";
import type { Source } from "./settle.ts";

const errorFile = z.object({ name: z.string(), message: z.string() });
const LARGEST = 2 ** 20;
const DIVERGED = new DivergedError("").name;

/** @returns undefined for a run that was not made */
export function sourceIn(store: RunStore, name: string): Source | undefined {
  try {
    const result = store.finished(name);
    if (result !== undefined) return { result };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return { failure: error.message, diverged: false };
  }
  const path = join(store.folder, `.failed-${name}`, "error.json");
  if (!existsSync(path)) {
    const kept = store.kept?.diverged(name);
    return kept && { failure: kept.message, diverged: true };
  }
  const { name: kind, message } = validate(errorFile, parseJson(readText(path, LARGEST), path), path);
  return { failure: message, diverged: kind === DIVERGED };
}
