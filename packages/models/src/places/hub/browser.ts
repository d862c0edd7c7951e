/** The hub in a browser: files of one commit by ranges. Ranges of a commit never change, so what was read once is kept for good. */
import { decodeUtf8, LowrankError, type Files, type RandomAccess } from "@lowrank/tensor";
import { parseJson } from "@lowrank/tensor/check";
import { web, type WebCache } from "../platform.ts";
import { ask, bodyOf, patiently } from "../request.ts";
import { filesOf, folderOf, headersOf } from "./remote.ts";
import type { HubSettings } from "./settings.ts";

/** As browsers show it to people. */
const CACHE = "lowrank-hub";

export function browserHub(settings: HubSettings): Files {
  let folder: Promise<{ readonly files: Files; readonly url: string }> | undefined;
  const opened = (): NonNullable<typeof folder> =>
    (folder ??= commitOf(settings)
      .then((commit) => ({ files: filesOf(settings, commit), url: folderOf(settings, commit) }))
      .catch((error: unknown) => {
        folder = undefined;
        throw error;
      }));
  return {
    where: settings.id,
    exists: async (name) => (await opened()).files.exists(name),
    text: async (name) => (await opened()).files.text(name),
    async open(name) {
      const { files, url } = await opened();
      return kept(await files.open(name), `${url}/${name}`, (loaded, total) =>
        settings.onProgress({ file: name, loaded, total }),
      );
    },
  };
}

/** Where a branch or tag points. */
async function commitOf(settings: HubSettings): Promise<string> {
  const { id, endpoint, revision, timeout } = settings;
  if (/^[0-9a-f]{40}$/.test(revision)) return revision;
  return patiently(id, async () => {
    const url = `${endpoint}/api/models/${id}/revision/${encodeURIComponent(revision)}`;
    const answer = await ask(url, { headers: headersOf(settings) }, timeout);
    if (answer.status !== 200) {
      await answer.discard();
      throw new LowrankError(
        "FileError",
        `${id}: ${endpoint} answers ${answer.status} for its revision "${revision}": there is none, or it needs a token`,
      );
    }
    const body = await bodyOf(answer, 2 ** 26);
    const said = body === "too long" ? {} : parseJson(decodeUtf8(body, url), url);
    const { sha } = said as { readonly sha?: unknown };
    if (typeof sha === "string" && /^\w+$/.test(sha)) return sha;
    throw new LowrankError("FormatError", `${id}: ${endpoint} does not say which commit "${revision}" is`);
  });
}

/** A file whose ranges the browser keeps. Where it has no cache or no room they are read again, which is all that a cache may change. */
function kept(file: RandomAccess, url: string, progress: (loaded: number, total: number) => void): RandomAccess {
  const { size } = file;
  const opening: Promise<WebCache | undefined> =
    web.caches?.open(CACHE).catch(() => undefined) ?? Promise.resolve(undefined);
  let loaded = 0;
  return {
    size,
    ...(file.where === undefined ? {} : { where: file.where }),
    async read(begin, end) {
      const key = `${url}?bytes=${begin}-${end}`;
      const cache = await opening;
      const hit = await cache?.match(key);
      let bytes = hit === undefined ? undefined : new Uint8Array(await hit.arrayBuffer());
      if (bytes?.length !== end - begin) {
        bytes = Uint8Array.from(await file.read(begin, end));
        await cache?.put(key, new web.Response(bytes)).catch(() => {});
      }
      loaded = Math.min(size, loaded + bytes.length);
      progress(loaded, size);
      return bytes;
    },
  };
}
