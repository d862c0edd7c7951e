/** A file on disk as a RandomAccess, in Node, Deno and Bun. Ranges are read when asked for; the file is never read whole. */
import { DeviceError, FormatError, LowrankError } from "../errors.ts";
import { isAbsent } from "./absence.ts";
import type { RandomAccess } from "./random-access.ts";

interface FileHandle {
  stat(): Promise<{ size: number }>;
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
  close(): Promise<void>;
}

interface FsPromises {
  open(path: string, flags: string): Promise<FileHandle>;
  stat(path: string): Promise<{ isFile(): boolean }>;
}

/** @throws LowrankError (FileError) on what is not there, cannot be opened, or is no regular file: reading a pipe or a device may never end */
export async function openFile(path: string): Promise<RandomAccess> {
  const { process } = globalThis as unknown as { process?: { getBuiltinModule?(name: string): unknown } };
  const fs = process?.getBuiltinModule?.("node:fs/promises") as FsPromises | undefined;
  if (fs === undefined) throw new DeviceError("openFile: there is no file system here; use fromBlob or fromBytes");
  const fail = (why: string, cause?: unknown): never => {
    throw new LowrankError("FileError", `${path}: ${why}`, { cause });
  };
  const unreadable = (cause: unknown): never => {
    return fail(isAbsent(cause) ? "there is no such file" : `cannot be opened: ${(cause as Error).message}`, cause);
  };
  if (!(await fs.stat(path).catch(unreadable)).isFile()) fail("is not a regular file");
  const handle = await fs.open(path, "r").catch(unreadable);
  const { size } = await handle.stat();
  return {
    size,
    where: path,
    async read(begin, end) {
      const bytes = new Uint8Array(end - begin);
      for (let done = 0; done < bytes.length;) {
        const { bytesRead } = await handle.read(bytes, done, bytes.length - done, begin + done);
        if (bytesRead === 0) throw new FormatError(`${path}: ended at byte ${begin + done} while reading up to ${end}`);
        done += bytesRead;
      }
      return bytes;
    },
    close: () => handle.close(),
  };
}
