/** Where a checkpoint's files are: a directory, or anything that can name files and give their bytes. */
import { LowrankError, openFile, type ByteSink, type RandomAccess } from "@lowrank/tensor";

export interface Files {
  /** For messages. */
  readonly where: string;
  exists(name: string): Promise<boolean>;
  text(name: string): Promise<string>;
  open(name: string): Promise<RandomAccess>;
  /** Writes a file whole or not at all. */
  write(name: string, produce: (sink: ByteSink) => Promise<void>): Promise<void>;
}

interface WriteHandle {
  write(bytes: Uint8Array): Promise<unknown>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

interface Fs {
  access(path: string): Promise<void>;
  mkdir(path: string, options: { recursive: boolean }): Promise<unknown>;
  open(path: string, flags: string): Promise<WriteHandle>;
  rename(from: string, to: string): Promise<void>;
  rm(path: string, options: { force: boolean }): Promise<void>;
}

/** A whole text file. @throws LowrankError where it is no regular file or is not UTF-8 */
async function textOf(path: string): Promise<string> {
  const file = await openFile(path);
  try {
    const { TextDecoder } = globalThis as unknown as {
      TextDecoder: new (label: string, options: { fatal: boolean }) => { decode(bytes: Uint8Array): string };
    };
    const bytes = await file.read(0, file.size);
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch (cause) {
      throw new LowrankError("FormatError", `${path}: is not UTF-8 text`, { cause });
    }
  } finally {
    await file.close?.();
  }
}

/** A directory on disk, in Node, Deno and Bun. */
export function directory(path: string): Files {
  const { process } = globalThis as unknown as { process?: { getBuiltinModule?(name: string): unknown; pid: number } };
  const fs = process?.getBuiltinModule?.("node:fs/promises") as Fs | undefined;
  if (fs === undefined)
    throw new LowrankError("FileError", `${path}: there is no file system here; pass the files themselves`);
  const at = (name: string): string => `${path}/${name}`;
  return {
    where: path,
    exists: (name) =>
      fs.access(at(name)).then(
        () => true,
        () => false,
      ),
    text: (name) => textOf(at(name)),
    open: (name) => openFile(at(name)),
    async write(name, produce) {
      await fs.mkdir(path, { recursive: true });
      const draft = at(`.${name}.${process?.pid ?? 0}.part`);
      const handle = await fs.open(draft, "w");
      try {
        await produce(async (bytes) => {
          await handle.write(bytes);
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
