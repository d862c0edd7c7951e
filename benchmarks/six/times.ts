/** Seconds of a step of each configuration, a process for each: they take turns, so that what disturbs the machine disturbs all. */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Workplace } from "./workplace.ts";

/** Steps that trace, plan and make code. */
const WARM_UP = 2;
const STEPS = 64;

/** @returns seconds of the steps of each configuration, round by round. @param rounds at most 60 */
export async function readTimes(
  names: readonly string[],
  place: Workplace,
  threads: number,
  rounds: number,
  say: (line: string) => void,
): Promise<ReadonlyMap<string, readonly number[]>> {
  const child = fileURLToPath(new URL("step-child.ts", import.meta.url));
  const children = new Map<string, ChildProcess>();
  try {
    for (const name of names) {
      const process = fork(child, [name, String(threads), ...place.set(STEPS)]);
      children.set(name, process);
      await answer(name, process);
      for (let i = 0; i < WARM_UP; i++) await step(name, process);
      say(`${name}: ready`);
    }
    const seconds = new Map(names.map((name) => [name, [] as number[]]));
    for (let round = 0; round < rounds; round++) {
      // each is first, second, … as often as any other
      const turn = names.map((_, i) => names[(i + round) % names.length]!);
      for (const name of turn) seconds.get(name)!.push(await step(name, children.get(name)!));
      say(
        `round ${round + 1} of ${rounds}: ${turn.map((name) => `${name} ${seconds.get(name)!.at(-1)!.toFixed(2)} s`).join(", ")}`,
      );
    }
    return seconds;
  } finally {
    for (const process of children.values()) process.kill();
  }
}

async function step(name: string, process: ChildProcess): Promise<number> {
  process.send("step");
  return (await answer(name, process))!;
}

async function answer(name: string, process: ChildProcess): Promise<number | null> {
  const [what, value] = (await Promise.race([
    once(process, "message").then(([message]) => ["message", message]),
    once(process, "exit").then(([code]) => ["exit", code]),
  ])) as ["message", { seconds: number | null }] | ["exit", number | null];
  if (what === "exit") throw new Error(`${name}: its process ended with ${value ?? "a signal"}`);
  return value.seconds;
}
