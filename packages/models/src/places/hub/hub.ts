/** A model at the Hugging Face hub, or at any server that speaks its paths, as a store of files. */
import { DeviceError, decodeUtf8, LowrankError, openFile, quote, type Files, type RandomAccess } from "@lowrank/tensor";
import { nodeModule } from "../platform.ts";
import { browserHub } from "./browser.ts";
import { HubCache } from "./cache.ts";
import { download } from "./download.ts";
import { filesOf, remoteFile, type RemoteFile } from "./remote.ts";
import { settingsOf, type HubOptions, type HubSettings } from "./settings.ts";

export type { HubOptions, HubProgress } from "./settings.ts";

/**
 * Nothing is asked before a file is wanted. In Node files come from the cache that Python uses too, and go into it; all of them are of one
 * commit, the one that the cache knows for the revision, or the hub if it knows none. In browsers they are read by ranges, which the
 * browser keeps.
 * @param id "org/name"
 * @throws LowrankError (InputError) for an id or a revision that cannot be one; from its methods FileError where the hub has no such model
 *   or keeps it from you, NetworkError where it cannot be reached, FormatError where bytes are not those that it announces
 */
export function hub(id: string, options: HubOptions = {}): Files {
  const settings = settingsOf(id, options);
  if (nodeModule("node:fs/promises") !== undefined) return new CachedModel(settings);
  if (settings.offline) throw new DeviceError("hub: offline needs a cache on disk, which browsers do not have");
  return browserHub(settings);
}

class CachedModel implements Files {
  readonly where: string;
  readonly #settings: HubSettings;
  readonly #cache: HubCache;
  #commit: string | undefined;
  /** What the hub said of files that are not fetched yet. */
  readonly #said = new Map<string, RemoteFile>();

  constructor(settings: HubSettings) {
    this.where = settings.id;
    this.#settings = settings;
    this.#cache = new HubCache(settings.cache, settings.id);
  }

  async exists(name: string): Promise<boolean> {
    const found = await this.#find(name);
    return found !== undefined;
  }

  async text(name: string): Promise<string> {
    const file = await this.open(name);
    try {
      return decodeUtf8(await file.read(0, file.size), `${this.where}/${name}`);
    } finally {
      await file.close?.();
    }
  }

  /** The name of its blob: SHA-256 of large files, git's object id of small ones. Nothing is downloaded for it. */
  async fingerprint(name: string): Promise<string | undefined> {
    const found = await this.#find(name);
    if (found === undefined) return undefined;
    return typeof found === "string" ? this.#cache.etagAt(found) : found.etag;
  }

  async open(name: string): Promise<RandomAccess> {
    const found = await this.#find(name);
    if (found === undefined) {
      const { offline, cache } = this.#settings;
      throw new LowrankError(
        "FileError",
        `${this.where}/${name}: ${offline ? `is not in the cache (${cache}), and offline nobody is asked (HF_HUB_OFFLINE)` : "there is no such file"}`,
      );
    }
    if (typeof found === "string") return openFile(found);
    if (this.#settings.ranges) return filesOf(this.#settings, found.commit).open(name);
    await download(this.#cache, this.#settings, name, found);
    return openFile(await this.#cache.link(found.commit, name, found.etag));
  }

  /** A path where the file is in the cache, else what the hub says of it; undefined where there is none, or offline. */
  async #find(name: string): Promise<string | RemoteFile | undefined> {
    requireName(name, this.where);
    const { offline, revision } = this.#settings;
    const known = await this.#knownCommit();
    if (known !== undefined) {
      const path = await this.#cache.snapshot(known, name);
      if (path !== undefined) return path;
      if (offline || (await this.#cache.knownAbsent(known, name))) return undefined;
    }
    if (offline) {
      const { cache, id } = this.#settings;
      throw new LowrankError(
        "FileError",
        `${id}: no revision ${quote(revision)} of it is in the cache (${cache}), and offline nobody is asked (HF_HUB_OFFLINE)`,
      );
    }
    const said = this.#said.get(name) ?? (await remoteFile(this.#settings, known ?? revision, name));
    if (said.commit !== undefined) {
      this.#commit ??= said.commit;
      await this.#cache.noteRef(revision, this.#commit);
    }
    if ("absent" in said) {
      if (said.commit !== undefined) await this.#cache.noteAbsent(said.commit, name);
      return undefined;
    }
    this.#said.set(name, said);
    // a blob may be there for another commit
    if (!(await this.#cache.has(this.#cache.blob(said.etag)))) return said;
    return this.#cache.link(said.commit, name, said.etag);
  }

  async #knownCommit(): Promise<string | undefined> {
    if (this.#commit === undefined) {
      const { revision, refresh } = this.#settings;
      if (/^[0-9a-f]{40}$/.test(revision)) this.#commit = revision;
      else if (!refresh || this.#settings.offline) this.#commit = await this.#cache.ref(revision);
    }
    return this.#commit;
  }
}

function requireName(name: string, where: string): void {
  if (name.split("/").some((p) => p === "" || p === "." || p === "..") || /[\\:\p{Cc}]/u.test(name))
    throw new LowrankError("FileError", `${where}: ${quote(name)} is no name of a file within a model`);
}
