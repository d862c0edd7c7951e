/** What the formats share: files in memory and on disk, draws, and what no number may be. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Files } from "@lowrank/models";
import { fromBytes, type RandomStream } from "@lowrank/tensor";

export const encoder: TextEncoder = new TextEncoder();
export const textOf = (bytes: Uint8Array): string => new TextDecoder("utf-8", { ignoreBOM: false }).decode(bytes);
export const pick = <T>(random: RandomStream, items: readonly T[]): T => items[random.integer(items.length)]!;
export const folder: string = mkdtempSync(join(tmpdir(), "lowrank-fuzz-"));
/** Files in memory. */
export function memory(files: Readonly<Record<string, Uint8Array>>): Files {
  return {
    where: "memory",
    exists: (name) => Promise.resolve(Object.hasOwn(files, name)),
    text: (name) => Promise.resolve(textOf(files[name]!)),
    open: (name) => Promise.resolve(fromBytes(files[name]!)),
  };
}

/** The document as JSON reads it, for oracles that compare with the file. */
export function rawJson(bytes: Uint8Array): Record<string, unknown> {
  return JSON.parse(textOf(bytes)) as Record<string, unknown>;
}

/** Sizes are positive whole numbers that memory could hold, probabilities lie in [0, 1), nothing is NaN: by the ends of the names. */
export function strangeNumber(value: unknown, path = ""): string | undefined {
  if (typeof value === "number") {
    if (!Number.isFinite(value)) return `${path} is ${value}`;
    if (
      /(size|layers|heads|positions|intermediate|hidden|batchSize|epochs|steps|length|vocab|labels|\br|initR|targetR|multiple)$/i.test(
        path,
      ) &&
      !(value > 0 && value <= 2 ** 31)
    )
      return `${path} is ${value}`;
    if (/(dropout|prob|masking)$/i.test(path) && !(value >= 0 && value < 1)) return `${path} is ${value}`;
    if (/(eps|epsilon|lr)$/i.test(path) && !(value > 0)) return `${path} is ${value}`;
    return undefined;
  }
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return undefined;
  for (const [key, inner] of Object.entries(value)) {
    const strange = strangeNumber(inner, path === "" ? key : `${path}.${key}`);
    if (strange !== undefined) return strange;
  }
  return undefined;
}

/** A YAML document on disk, as a user has it. */
export function yamlFile(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}
