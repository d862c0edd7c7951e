/** Which process something belongs to, so that what a dead one left is told from what a living one holds. */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";

export interface ProcessMark {
  readonly host: string;
  readonly pid: number;
  /** Clock ticks from boot to the process's start, where the system says it: ids are used again. */
  readonly started: string | null;
}

/** This process. */
export function ownMark(): ProcessMark {
  return { host: hostname(), pid: process.pid, started: startOf(process.pid) };
}

/** Whether a process with this id runs on this machine; `started` tells it from a later one with the same id. */
export function isAlive(pid: number, started: string | null = null): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // a process of somebody else lives, too
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  const now = startOf(pid);
  return started === null || now === null || now === started;
}

/** Field 22 of `/proc/<pid>/stat`; the name before it may hold spaces and parentheses. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null;
  } catch {
    return null;
  }
}
