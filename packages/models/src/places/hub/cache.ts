/**
 * The cache of huggingface_hub on disk: blobs by their hash, a tree of links for each commit, and what branches and tags pointed at.
 *
 *     models--org--name/blobs/<etag>
 *     models--org--name/refs/main                             the commit
 *     models--org--name/snapshots/<commit>/config.json        → ../../blobs/<etag>
 *     models--org--name/.no_exist/<commit>/tokenizer.json     the hub has no such file
 */
import { DeviceError } from "@lowrank/tensor";
import { nodeModule, nodeProcess } from "../platform.ts";

export interface Stats {
  readonly size: number;
  readonly mtimeMs: number;
}

export interface WriteFile {
  write(bytes: Uint8Array): Promise<{ readonly bytesWritten: number }>;
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>;
  truncate(length: number): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface FileSystem {
  mkdir(path: string, options: { recursive: boolean }): Promise<unknown>;
  open(path: string, flags: string): Promise<WriteFile>;
  readFile(path: string, encoding: string): Promise<string>;
  writeFile(path: string, text: string): Promise<void>;
  readdir(path: string): Promise<string[]>;
  rename(from: string, to: string): Promise<void>;
  copyFile(from: string, to: string): Promise<void>;
  readlink(path: string): Promise<string>;
  symlink(target: string, path: string): Promise<void>;
  stat(path: string): Promise<Stats>;
  rm(path: string, options: { force: boolean }): Promise<void>;
}

/** Files that one process makes under names of its own. */
let made = 0;
export function ownName(): string {
  return `${nodeProcess?.pid ?? 0}-${made++}-${Math.random().toString(36).slice(2, 8)}`;
}

export class HubCache {
  readonly fs: FileSystem;
  /** Of the model. */
  readonly folder: string;

  constructor(cache: string, id: string) {
    const fs = nodeModule<FileSystem>("node:fs/promises");
    if (fs === undefined) throw new DeviceError("hub: there is no file system here for a cache");
    this.fs = fs;
    this.folder = `${cache}/models--${id.replace("/", "--")}`;
  }

  blob(etag: string): string {
    return `${this.folder}/blobs/${etag}`;
  }

  /** Path of a file of a commit, where it is there whole: a link of the tree points at a blob, which is never written to under its name. */
  async snapshot(commit: string, name: string): Promise<string | undefined> {
    const path = `${this.folder}/snapshots/${commit}/${name}`;
    return (await this.has(path)) ? path : undefined;
  }

  /** The blob that a path of a tree points at; undefined where it is a file itself, as on Windows. */
  async etagAt(path: string): Promise<string | undefined> {
    const target = await this.fs.readlink(path).catch(() => "");
    return /[\\/]blobs[\\/]([\w.-]+)$/.exec(target)?.[1];
  }

  /** Whether the hub is known to have no such file. */
  knownAbsent(commit: string, name: string): Promise<boolean> {
    return this.has(`${this.folder}/.no_exist/${commit}/${name}`);
  }

  async noteAbsent(commit: string, name: string): Promise<void> {
    await this.#write(`${this.folder}/.no_exist/${commit}/${name}`, "");
  }

  /** The commit that a branch or tag pointed at when it was last asked for. */
  async ref(revision: string): Promise<string | undefined> {
    const text = await this.fs.readFile(`${this.folder}/refs/${revision}`, "utf8").catch(() => "");
    return /^\w[\w.-]*$/.test(text.trim()) ? text.trim() : undefined;
  }

  async noteRef(revision: string, commit: string): Promise<void> {
    if (revision !== commit && (await this.ref(revision)) !== commit)
      await this.#write(`${this.folder}/refs/${revision}`, commit);
  }

  /** Puts a blob into the tree of a commit. @returns its path there */
  async link(commit: string, name: string, etag: string): Promise<string> {
    const path = `${this.folder}/snapshots/${commit}/${name}`;
    if (await this.has(path)) return path;
    await this.fs.mkdir(parentOf(path), { recursive: true });
    const draft = `${parentOf(path)}/.${ownName()}`;
    const up = "../".repeat(name.split("/").length + 1);
    try {
      await this.fs.symlink(`${up}blobs/${etag}`, draft);
    } catch {
      // Windows lets few people make links; huggingface_hub keeps files in the tree there too
      await this.fs.copyFile(this.blob(etag), draft);
    }
    await this.fs.rename(draft, path);
    return path;
  }

  has(path: string): Promise<boolean> {
    return this.fs.stat(path).then(
      () => true,
      () => false,
    );
  }

  /** A note, whole or not at all: a cache that cannot be written to is asked like any other, and asks the hub again. */
  async #write(path: string, text: string): Promise<void> {
    const draft = `${parentOf(path)}/.${ownName()}`;
    try {
      await this.fs.mkdir(parentOf(path), { recursive: true });
      await this.fs.writeFile(draft, text);
      await this.fs.rename(draft, path);
    } catch {
      await this.fs.rm(draft, { force: true }).catch(() => {});
    }
  }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}
