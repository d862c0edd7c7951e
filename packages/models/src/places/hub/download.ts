/**
 * A file from the hub into a blob of the cache. Bytes go to a file that this process alone writes, `<etag>.<who>.incomplete`, and get the
 * blob's name when all of them are there and hash to what the hub says. What was given up is left as `<etag>.left.incomplete`: whoever
 * wants the file next goes on from there, under a name of its own again, so that no two ever write to one file.
 */
import { FormatError, LowrankError } from "@lowrank/tensor";
import { nodeModule, nodeProcess, sleep } from "../platform.ts";
import { ask, cut, patiently, type Answer } from "../request.ts";
import { ownName, type FileSystem, type HubCache, type WriteFile } from "./cache.ts";
import { headersOf, urlOf, type RemoteFile } from "./remote.ts";
import type { HubSettings } from "./settings.ts";

const PIECE = 2 ** 20;
/** How often it is looked whether another process is done, in ms. */
const LOOK = 100;

/** By path of the blob: one of these at a time within a process. */
const running = new Map<string, Promise<void>>();

/** @throws LowrankError: FormatError where the bytes are not those that the hub announces, NetworkError where they do not come */
export function download(cache: HubCache, settings: HubSettings, name: string, file: RemoteFile): Promise<void> {
  const blob = cache.blob(file.etag);
  const before = running.get(blob);
  if (before !== undefined) return before;
  const mine = fetchBlob(cache, settings, name, file)
    .catch((cause: unknown) => {
      if (cause instanceof LowrankError) throw cause;
      throw new LowrankError(
        "FileError",
        `${settings.id}/${name}: cannot be written into the cache (${settings.cache}): ${(cause as Error).message}`,
        { cause },
      );
    })
    .finally(() => running.delete(blob));
  running.set(blob, mine);
  return mine;
}

async function fetchBlob(cache: HubCache, settings: HubSettings, name: string, file: RemoteFile): Promise<void> {
  const blob = cache.blob(file.etag);
  const { fs } = cache;
  await fs.mkdir(`${cache.folder}/blobs`, { recursive: true });
  await othersAreDone(cache, file.etag, settings.timeout);
  if (await cache.has(blob)) return;
  const draft = `${blob}.${hostTag()}-${ownName()}.incomplete`;
  const left = `${blob}.left.incomplete`;
  // of several that want it, one gets it
  await fs.rename(left, draft).catch(() => {});
  // what an earlier attempt left may be what is wrong
  for (let again = await cache.has(draft); ; again = false) {
    try {
      await fill(cache, settings, name, file, draft);
      break;
    } catch (error) {
      const corrupt = error instanceof FormatError;
      if (corrupt) await fs.rm(draft, { force: true });
      else await fs.rename(draft, left).catch(() => {});
      if (!corrupt || !again) throw error;
    }
  }
  await fs.rename(draft, blob);
}

/** Fills `draft` from where it ends, and looks at what it has become. */
async function fill(
  { fs }: HubCache,
  settings: HubSettings,
  name: string,
  { commit, etag, size }: RemoteFile,
  draft: string,
): Promise<void> {
  const what = `${settings.id}/${name}`;
  const handle = await fs.open(draft, "a+");
  try {
    const hash = hashFor(etag, size);
    let done = await hashed(handle, hash, size);
    settings.onProgress({ file: name, loaded: done, total: size });
    await patiently(
      what,
      async () => {
        if (done === size) return;
        const range = done === 0 ? {} : { range: `bytes=${done}-` };
        const url = urlOf(settings, commit, name);
        const answer = await ask(url, { headers: { ...headersOf(settings), ...range } }, settings.timeout);
        let skip = await toSkip(answer, done, size, what);
        for await (const chunk of answer.chunks()) {
          const bytes = chunk.subarray(Math.min(skip, chunk.length));
          skip -= chunk.length - bytes.length;
          if (done + bytes.length > size) throw new FormatError(`${what}: more than its ${size} bytes came`);
          for (let at = 0; at < bytes.length;) at += (await handle.write(bytes.subarray(at))).bytesWritten;
          hash?.update(bytes);
          done += bytes.length;
          settings.onProgress({ file: name, loaded: done, total: size });
        }
        if (done < size) throw cut(done, size);
      },
      () => done,
    );
    const digest = hash?.digest("hex") ?? etag;
    if (digest !== etag)
      throw new FormatError(
        `${what}: the bytes that came hash to ${digest}, and the hub says ${etag}; nothing of it was kept, try again`,
      );
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Bytes of the answer that are there already: all of them where the server answers a range with the whole. */
async function toSkip(answer: Answer, done: number, size: number, what: string): Promise<number> {
  const { status } = answer;
  if (status === 200) return done;
  const [, from, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(answer.header("content-range") ?? "") ?? [];
  if (status === 206 && Number(from) === done && Number(total) === size) return 0;
  await answer.discard();
  throw new FormatError(
    `${what}: asked for from byte ${done} of ${size}, the server answers ${status}${from === undefined ? "" : ` with bytes ${from}… of ${total}`}`,
  );
}

interface Hash {
  update(bytes: Uint8Array | string): Hash;
  digest(form: string): string;
}

/** Large files have their SHA-256 as etag, small ones what git calls them; of other servers' etags nothing is known. */
function hashFor(etag: string, size: number): Hash | undefined {
  const { createHash } = nodeModule<{ createHash(name: string): Hash }>("node:crypto")!;
  if (/^[0-9a-f]{64}$/.test(etag)) return createHash("sha256");
  if (/^[0-9a-f]{40}$/.test(etag)) return createHash("sha1").update(`blob ${size}\0`);
  return undefined;
}

/** What a draft holds already goes through the hash too. One that is too long is begun anew. @returns its length */
async function hashed(handle: WriteFile, hash: Hash | undefined, size: number): Promise<number> {
  const piece = new Uint8Array(PIECE);
  let done = 0;
  for (;;) {
    const { bytesRead } = await handle.read(piece, 0, PIECE, done);
    if (bytesRead === 0) return done;
    done += bytesRead;
    if (done > size) break;
    hash?.update(piece.subarray(0, bytesRead));
  }
  await handle.truncate(0);
  throw new FormatError("a draft is longer than its file");
}

/** Waits while another process is at it: as long as its draft grows, and its process lives where that can be known. */
async function othersAreDone(cache: HubCache, etag: string, timeout: number): Promise<void> {
  while (!(await cache.has(cache.blob(etag))) && (await someoneElse(cache, etag, timeout))) await sleep(LOOK);
}

async function someoneElse({ fs, folder }: HubCache, etag: string, timeout: number): Promise<boolean> {
  for (const name of await fs.readdir(`${folder}/blobs`)) {
    if (!name.startsWith(`${etag}.`) || !name.endsWith(".incomplete") || name === `${etag}.left.incomplete`) continue;
    const path = `${folder}/blobs/${name}`;
    const stats = await fs.stat(path).catch(() => undefined);
    if (stats === undefined) continue;
    const [, host, pid] = /\.(\w+)-(\d+)-\d+-\w+\.incomplete$/.exec(name) ?? [];
    const dead = host === hostTag() && !isAlive(Number(pid));
    // a download that hears nothing for `timeout` ends by itself, after a few attempts
    if (!dead && Date.now() - stats.mtimeMs < 6 * timeout) return true;
    if (dead) await takeOver(fs, path, `${folder}/blobs/${etag}`);
  }
  return false;
}

/** A copy, for what seems dead here may write on elsewhere: process numbers are those of a container. */
async function takeOver(fs: FileSystem, draft: string, blob: string): Promise<void> {
  const copy = `${blob}.${ownName()}.copy`;
  try {
    await fs.copyFile(draft, copy);
    await fs.rename(copy, `${blob}.left.incomplete`);
    await fs.rm(draft, { force: true });
  } catch {
    // another process was quicker
    await fs.rm(copy, { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    nodeProcess?.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { readonly code?: string }).code === "EPERM";
  }
}

/** Processes have numbers within a machine. */
function hostTag(): string {
  const host = nodeModule<{ hostname(): string }>("node:os")?.hostname() ?? "";
  return host.replace(/[^A-Za-z0-9]/g, "_") || "host";
}
