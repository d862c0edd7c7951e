/** Processor time, so that a busy machine slows nothing down: of this process, and of the browser that it has started (Linux). */
import { readdirSync, readFileSync } from "node:fs";

/** Seconds of all threads of this process. */
export function ownSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Ticks of /proc a second. */
const TICKS = 100;

/** Seconds of all processes in the groups that children of this one lead. */
export function childSeconds(): number {
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        // the name, in parentheses, may hold anything
        const [, ppid, group, , , , , , , , , user, system] = readFileSync(`/proc/${pid}/stat`, "utf8")
          .replace(/^.*\) /su, "")
          .split(" ");
        return [{ pid: Number(pid), ppid: Number(ppid), group: Number(group), ticks: Number(user) + Number(system) }];
      } catch {
        // it has ended meanwhile
        return [];
      }
    });
  const leaders = new Set(all.filter((p) => p.ppid === process.pid && p.group === p.pid).map((p) => p.pid));
  return all.filter((p) => leaders.has(p.group)).reduce((sum, p) => sum + p.ticks, 0) / TICKS;
}
