/** Files that somebody handed over: from an `<input>`, from a drop, or handles of the origin private file system. */
import { decodeUtf8, fromBlob, LowrankError, quote, type Files } from "@lowrank/tensor";

export interface BlobLike {
  readonly size: number;
  readonly name?: string;
  readonly webkitRelativePath?: string;
  slice(begin: number, end: number): { arrayBuffer(): Promise<ArrayBuffer> };
}

/** A `FileSystemFileHandle`. */
export interface BlobHandle {
  readonly name: string;
  getFile(): Promise<BlobLike>;
}

type Held = BlobLike | BlobHandle;

/**
 * A checkpoint in the hands of the caller; ranges are read when asked for.
 * @param files what an `<input multiple>` or `<input webkitdirectory>` gives, a list of File or handle, or a record of any Blob by name.
 *   Files of a folder have their names within it.
 * @throws LowrankError (NameError) where two have the same name, or one has none
 */
export function blobs(
  files: Iterable<Held> | Readonly<Record<string, Held>>,
  where: string = "the given files",
): Files {
  const held = Symbol.iterator in files ? byPath(files as Iterable<Held>) : new Map(Object.entries(files));
  const blob = async (name: string): Promise<BlobLike> => {
    const one = held.get(name);
    if (one === undefined) throw new LowrankError("FileError", `${where}: there is no ${quote(name)} among them`);
    return "getFile" in one ? one.getFile() : one;
  };
  return {
    where,
    exists: (name) => Promise.resolve(held.has(name)),
    async text(name) {
      const one = fromBlob(await blob(name));
      return decodeUtf8(await one.read(0, one.size), `${where}/${name}`);
    },
    open: async (name) => ({ ...fromBlob(await blob(name)), where: `${where}/${name}` }),
    list: () => Promise.resolve([...held.keys()].sort()),
  };
}

function byPath(files: Iterable<Held>): Map<string, Held> {
  const all = Array.from(files, (one) => {
    const path = ("webkitRelativePath" in one && one.webkitRelativePath) || one.name;
    if (path === undefined || path === "")
      throw new LowrankError("NameError", `blobs: a file has no name; give a record of blobs by name`);
    return [path, one] as const;
  });
  // an <input webkitdirectory> says "folder/config.json" of all of them
  const folder = all[0]?.[0].split("/")[0];
  const inside = all.every(([path]) => path.startsWith(`${folder}/`)) ? `${folder}/`.length : 0;
  const held = new Map<string, Held>();
  for (const [path, one] of all) {
    const name = path.slice(inside);
    if (held.has(name)) throw new LowrankError("NameError", `blobs: two files are called ${quote(name)}`);
    held.set(name, one);
  }
  return held;
}
