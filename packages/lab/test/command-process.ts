/** The command as a process of its own, from the sources. */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../../", import.meta.url));

export interface CommandProcess {
  readonly child: ChildProcess;
  /** Its code, or the signal that ended it; and what it said on stderr. */
  readonly end: Promise<{ readonly code: number | string; readonly said: string }>;
}

export function lowrank(...args: string[]): CommandProcess {
  const child = spawn(
    process.execPath,
    ["--import", "tsx", "--conditions", "@lowrank/source", join(root, "packages/lab/src/cli.ts"), ...args],
    { stdio: ["ignore", "ignore", "pipe"], cwd: root },
  );
  let said = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  const end = new Promise<{ code: number | string; said: string }>((resolve) =>
    child.on("close", (code, signal) => resolve({ code: code ?? signal!, said })),
  );
  return { child, end };
}

/** Names in the folder of runs, or in one of them. */
export function namesIn(...path: string[]): string[] {
  return existsSync(join(...path)) ? readdirSync(join(...path)).sort() : [];
}

/** Steps that are saved of the run that is being made. */
export function savedSteps(out: string, config: string): number[] {
  const work = namesIn(out, "runs").find((name) => name.startsWith(`.work-${config}-`));
  if (work === undefined) return [];
  return namesIn(out, "runs", work, "checkpoints").flatMap((name) =>
    Number(/^step-(\d+)$/.exec(name)?.[1] ?? Number.NaN),
  );
}

/** Until it is so. */
export async function until(is: () => boolean, { child }: CommandProcess): Promise<void> {
  while (!is()) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error("the process ended before");
    await sleep(5);
  }
}
