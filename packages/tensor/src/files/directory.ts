/** A directory on disk as a store of files, in Node, Deno and Bun. */
import { DeviceError, LowrankError } from "../errors.ts";
import { decodeUtf8 } from "../utf8.ts";
import { isAbsent } from "./absence.ts";
import { openFile } from "./open-file.ts";
import type { WritableFiles } from "./store.ts";

interface WriteHandle {
  write(bytes: Uint8Array): Promise<{ readonly bytesWritten: number }>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

interface Fs {
  access(path: string): Promise<void>;
  mkdir(path: string, options: { recursive: boolean }): Promise<unknown>;
  open(path: string, flags: string): Promise<WriteHandle>;
  rename(from: string, to: string): Promise<void>;
  rm(path: string, options: { force: boolean }): Promise<void>;
  readdir(path: string): Promise<string[]>;
}

/** Bytes that are handed to the system at once. */
const PIECE = 1 << 30;

/** A whole text file. @throws LowrankError where it is no regular file or is not UTF-8 */
async function textOf(path: string): Promise<string> {
  const file = await openFile(path);
  try {
    return decodeUtf8(await file.read(0, file.size), path);
  } finally {
    await file.close?.();
  }
}

/** A directory on disk, in Node, Deno and Bun. */
export function directory(path: string): WritableFiles {
  const { process } = globalThis as unknown as { process?: { getBuiltinModule?(name: string): unknown; pid: number } };
  const fs = process?.getBuiltinModule?.("node:fs/promises") as Fs | undefined;
  if (fs === undefined)
    throw new DeviceError(`directory: there is no file system here to look for ${path} in; pass the files themselves`);
  const at = (name: string): string => `${path}/${name}`;
  const failedAt = (where: string, why: string, cause: unknown): never => {
    throw new LowrankError("FileError", `${where}: ${why}`, { cause });
  };
  return {
    where: path,
    exists: (name) =>
      fs.access(at(name)).then(
        () => true,
        (cause: unknown) =>
          !isAbsent(cause) && failedAt(at(name), `cannot be looked at: ${(cause as Error).message}`, cause),
      ),
    text: (name) => textOf(at(name)),
    open: (name) => openFile(at(name)),
    list: async () => {
      const names = await fs
        .readdir(path)
        .catch((cause: unknown) =>
          failedAt(
            path,
            isAbsent(cause) ? "there is no such folder" : `cannot be listed: ${(cause as Error).message}`,
            cause,
          ),
        );
      return names.sort();
    },
    remove: (name) => fs.rm(at(name), { force: true }),
    async write(name, produce) {
      const failed = (cause: unknown): never =>
        failedAt(at(name), `cannot be written: ${(cause as Error).message}`, cause);
      await fs.mkdir(path, { recursive: true }).catch(failed);
      const draft = at(`.${name}.${process?.pid ?? 0}.part`);
      const handle = await fs.open(draft, "w").catch(failed);
      try {
        await produce(async (bytes) => {
          // a system may take less than it is given, and takes no more than 2 GiB
          for (let at = 0; at < bytes.length;)
            at += (await handle.write(bytes.subarray(at, at + PIECE)).catch(failed)).bytesWritten;
        });
        await handle.sync();
        await handle.close();
        await fs.rename(draft, at(name));
      } catch (error) {
        await handle.close().catch(() => {});
        await fs.rm(draft, { force: true });
        throw error;
      }
    },
  };
}
