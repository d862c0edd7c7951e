/** One writer a folder: `.lock` names the process that holds it. What a dead process left is taken over. */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { InputError } from "../errors.ts";
import { isAlive, ownMark, type ProcessMark } from "./processes.ts";

const markSchema = z.object({
  host: z.string(),
  pid: z.number().int().positive(),
  started: z.string().nullable(),
}) satisfies z.ZodType<ProcessMark>;

/**
 * Takes the folder, which must exist. Returns how to give it back; that happens by itself when the process ends in any way but a kill.
 * @throws InputError when a living process holds it
 */
export function lockFolder(folder: string): () => void {
  const path = join(folder, ".lock");
  const content = JSON.stringify(ownMark());
  for (;;) {
    try {
      writeFileSync(path, content, { flag: "wx" });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      takeAwayStale(path, folder);
    }
  }
  const release = (): void => {
    process.off("exit", release);
    // only what is ours: somebody may have deleted the file and taken the folder
    if (readLock(path) === content) rmSync(path, { force: true });
  };
  process.on("exit", release);
  return release;
}

function takeAwayStale(path: string, folder: string): void {
  const content = readLock(path);
  if (content === undefined) return;
  const holder = parseMark(content);
  if (holder !== undefined && holder.host !== hostname()) {
    throw new InputError(
      `${folder}: is in use by process ${holder.pid} on another machine, ${holder.host}; choose another folder, or delete ${path} if that process is gone`,
    );
  }
  if (holder !== undefined && isAlive(holder.pid, holder.started))
    throw new InputError(`${folder}: is in use by process ${holder.pid}; wait for it or choose another folder`);
  // by a rename, which one of several that wait for it wins; and back, where it took the winner's new one
  const aside = `${path}.${randomUUID()}`;
  try {
    renameSync(path, aside);
  } catch {
    return;
  }
  if (readLock(aside) === content) rmSync(aside, { force: true });
  else renameSync(aside, path);
}

function readLock(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** Undefined for what no process of ours wrote, or did not write to the end. */
function parseMark(content: string): ProcessMark | undefined {
  try {
    return markSchema.parse(JSON.parse(content));
  } catch {
    return undefined;
  }
}
