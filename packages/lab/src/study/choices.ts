/**
 * `choices.json`: what was chosen for a run where nothing was said, once. A choice belongs to the question that it answered, the identity of the run
 * without it: the same command finds it again whatever memory is free by then, and another question gets another answer.
 */
import { existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseJson } from "@lowrank/tensor/check";
import { z } from "zod";
import { validate } from "../config/validate.ts";
import { readText } from "../data/read-file.ts";

const FILE = "choices.json";
const LARGEST = 2 ** 20;
const kept = z.record(z.string(), z.object({ of: z.string(), chosen: z.unknown() }));

export class Choices {
  readonly #path: string;

  /** @param out folder of the study */
  constructor(out: string) {
    this.#path = join(out, FILE);
  }

  /** The answer that there is, else the one that is made now. @param of identity of the question */
  async once<T>(name: string, of: string, choose: () => Promise<T>): Promise<T> {
    const before = this.#read();
    const known = before[name];
    if (known?.of === of) return known.chosen as T;
    const chosen = await choose();
    mkdirSync(join(this.#path, ".."), { recursive: true });
    const next = `${this.#path}.${process.pid}.tmp`;
    writeFileSync(next, `${JSON.stringify({ ...before, [name]: { of, chosen } }, null, 2)}\n`);
    renameSync(next, this.#path);
    return chosen;
  }

  #read(): z.infer<typeof kept> {
    if (!existsSync(this.#path)) return {};
    return validate(kept, parseJson(readText(this.#path, LARGEST), this.#path), this.#path);
  }
}
