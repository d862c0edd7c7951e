/** JSON that gives back every number as it was: NaN, infinities and −0 are no JSON, and a state is continued to the bit. */
import { parseJson } from "@lowrank/tensor/check";

/** The key of an object that stands for such a number; nothing of ours is called so. */
const NUMBER = "$number";

export function toText(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === "number" && (!Number.isFinite(part) || Object.is(part, -0)) ? { [NUMBER]: nameOf(part) } : part,
  );
}

/** @throws LowrankError for what is no JSON. @param where it is from, for the message */
export function fromText(text: string, where: string): unknown {
  return revived(parseJson(text, where));
}

function nameOf(value: number): string {
  return Object.is(value, -0) ? "-0" : String(value);
}

function revived(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(revived);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value);
  const [[key, of] = []] = entries;
  if (entries.length === 1 && key === NUMBER) return Number(of);
  return Object.fromEntries(entries.map(([name, part]) => [name, revived(part)]));
}
