/** A file on disk as a RandomAccess, in Node, Deno and Bun. Ranges are read when asked for; the file is never read whole. */
import { DeviceError, FormatError } from "../errors.ts";
import type { RandomAccess } from "./source.ts";

interface FileHandle {
  stat(): Promise<{ size: number }>;
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
  close(): Promise<void>;
}

interface FsPromises { open(path: string, flags: string): Promise<FileHandle> }

export async function openFile(path: string): Promise<RandomAccess> {
  const { process } = globalThis as unknown as { process?: { getBuiltinModule?(name: string): unknown } };
  const fs = process?.getBuiltinModule?.("node:fs/promises") as FsPromises | undefined;
  if (fs === undefined) throw new DeviceError("openFile: there is no file system here; use fromBlob or fromBytes");
  const handle = await fs.open(path, "r");
  const { size } = await handle.stat();
  return {
    size,
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
