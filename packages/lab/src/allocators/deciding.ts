/** Which allocators a method can have: those that decide while it trains, or before. */
import type { Allocator } from "../records/allocator.ts";
import { allocators } from "./registry.ts";

/** Names of those that decide this way, plugins' among them. */
export function deciding(way: keyof Pick<Allocator, "make" | "share">): [string, ...string[]] {
  return allocators.all.filter((allocator) => allocator[way] !== undefined).map(({ name }) => name) as [
    string,
    ...string[],
  ];
}

/** `"a", "b" or "c"`. */
export function listed(names: readonly string[]): string {
  const quoted = names.map((name) => `"${name}"`);
  return quoted.length < 2 ? quoted.join() : `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)!}`;
}
