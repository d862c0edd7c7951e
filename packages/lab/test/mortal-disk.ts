/** A file system that stops at one of its calls, as a process does that is killed there: what it had written by then stays, and nothing is cleaned up. */
import * as node from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import type { Disk } from "../src/store/checkpoints.ts";

export class Killed extends Error {}

/** @param last the call in which it dies, counted from 1; a write gets half of its bytes through */
export function mortalDisk(last: number): Disk & { readonly calls: () => number } {
  let calls = 0;
  const living = async <T>(body: () => Promise<T>, dying: () => Promise<unknown> = async () => {}): Promise<T> => {
    calls++;
    if (calls === last) await dying();
    if (calls >= last) throw new Killed();
    return body();
  };
  const handle = (file: FileHandle): FileHandle =>
    ({
      writeFile: (bytes: Uint8Array) =>
        living(
          () => file.writeFile(bytes),
          () => file.writeFile(bytes.subarray(0, bytes.length >> 1)),
        ),
      sync: () => living(() => file.sync()),
      // the system closes what a dead process had open
      close: async () => {
        await file.close();
        await living(async () => {});
      },
    }) as unknown as FileHandle;
  return {
    mkdir: ((path: string, options: object) => living(() => node.mkdir(path, options))) as Disk["mkdir"],
    open: (path, flags) => living(async () => handle(await node.open(path, flags))),
    readdir: ((path: string) => living(() => node.readdir(path))) as unknown as Disk["readdir"],
    rename: (from, to) => living(() => node.rename(from, to)),
    rm: (path, options) => living(() => node.rm(path, options)),
    calls: () => calls,
  };
}
