/**
 * One writer a folder: `.lock` names the process that holds it, and its age tells that the process lives where nobody can ask for it. What a
 * dead process left is taken over.
 */
import {
  closeSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { InputError, RunError } from "../errors.ts";
import { isAlive, ownMark, type ProcessMark } from "./processes.ts";

export const LOCK = ".lock";
/** Seconds between two signs of life. */
const BEAT_SECONDS = 15;
/** Without one for so long, a process on another machine is gone. Long steps, in which nothing else happens, are far shorter. */
export const GONE_SECONDS = 600;

const markSchema = z.object({
  host: z.string(),
  pid: z.number().int().positive(),
  started: z.string().nullable(),
}) satisfies z.ZodType<ProcessMark>;

/** Another process took this one for gone, after a sleep for instance, and has what it held. */
export class LostLock extends RunError {}

/** Whether a file of a folder is its lock, or one that is about to be. */
export function isLock(file: string): boolean {
  return file === LOCK || file.startsWith(`${LOCK}.`);
}

export interface Lock {
  /** Gives a sign of life, where the last one was a while ago. @throws LostLock */
  beat(): void;
  /** Before what must not happen twice. @throws LostLock where the folder is no longer ours */
  check(): void;
  /**
   * Gives it back; that happens by itself when the process ends in any way but a kill.
   * @param at where the folder is now. Default: where it was
   */
  release(at?: string): void;
}

/** Takes the folder, which must exist, or says who holds it. */
export function tryLock(folder: string): Lock | { readonly holder: ProcessMark } {
  const path = join(folder, LOCK);
  // two locks of one process are two
  const content = JSON.stringify({ ...ownMark(), lock: randomUUID() });
  for (;;) {
    if (create(path, content)) return lockOf(folder, content);
    const holder = takeAwayStale(folder);
    if (holder !== undefined) return { holder };
  }
}

/** The same. @throws InputError when somebody else holds it */
export function lockFolder(folder: string): Lock {
  const taken = tryLock(folder);
  if (!("holder" in taken)) return taken;
  const { pid, host } = taken.holder;
  throw new InputError(
    host === hostname()
      ? `${folder}: is in use by process ${pid}; wait for it or choose another folder`
      : `${folder}: is in use by process ${pid} on another machine, ${host}; choose another folder, or delete ${join(folder, LOCK)} if that process is gone`,
  );
}

/** The file with its content at once, or false where there is one: half a lock would be taken for nobody's. */
function create(path: string, content: string): boolean {
  const whole = `${path}.${randomUUID()}`;
  try {
    writeFileSync(whole, content);
    linkSync(whole, path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return false;
    if (code !== "EPERM" && code !== "ENOTSUP" && code !== "EOPNOTSUPP" && code !== "ENOSYS") throw error;
  } finally {
    rmSync(whole, { force: true });
  }
  // a file system without links
  try {
    writeFileSync(path, content, { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

function lockOf(folder: string, content: string): Lock {
  const path = join(folder, LOCK);
  let last = performance.now();
  const check = (): void => {
    if (readLock(path) !== content)
      throw new LostLock(`${folder}: another process has it now, which took this one for gone`);
  };
  const beat = (): void => {
    if (performance.now() - last < 1000 * BEAT_SECONDS) return;
    check();
    last = performance.now();
    // written, not only touched: then the age is by the file system's clock, whichever machine asks
    const handle = openSync(path, "r+");
    try {
      writeSync(handle, content, 0);
    } finally {
      closeSync(handle);
    }
  };
  const timer = setInterval(() => {
    try {
      beat();
    } catch {
      // who writes into the folder next is told
    }
  }, 1000 * BEAT_SECONDS);
  timer.unref();
  const release = (at = folder): void => {
    clearInterval(timer);
    process.off("exit", atExit);
    // only what is ours: somebody may have deleted the file and taken the folder
    if (readLock(join(at, LOCK)) === content) rmSync(join(at, LOCK), { force: true });
  };
  const atExit = (): void => release();
  process.on("exit", atExit);
  return { beat, check, release };
}

/** Who holds it, or undefined where the lock may be tried again. */
function takeAwayStale(folder: string): ProcessMark | undefined {
  const path = join(folder, LOCK);
  const content = readLock(path);
  if (content === undefined) return undefined;
  const holder = parseMark(content);
  if (holder !== undefined && lives(holder, folder)) return holder;
  // by a rename, which one of several that wait for it wins; and back, where it took the winner's new one
  const aside = `${path}.${randomUUID()}`;
  try {
    renameSync(path, aside);
  } catch {
    return undefined;
  }
  try {
    if (readLock(aside) !== content) linkSync(aside, path);
  } catch {
    // a third one was faster; who held it will find out
  }
  rmSync(aside, { force: true });
  return undefined;
}

function lives({ host, pid, started }: ProcessMark, folder: string): boolean {
  if (host === hostname()) return isAlive(pid, started);
  const age = ageOf(folder);
  return age === undefined || age < GONE_SECONDS;
}

/** Seconds since the last sign of life, by the clock of the file system; undefined where the lock has gone. */
function ageOf(folder: string): number | undefined {
  const probe = join(folder, `${LOCK}.now-${randomUUID()}`);
  try {
    writeFileSync(probe, "");
    return (statSync(probe).mtimeMs - statSync(join(folder, LOCK)).mtimeMs) / 1000;
  } catch {
    return undefined;
  } finally {
    rmSync(probe, { force: true });
  }
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
