/** Addresses among the strings that say where something is: which are a web server's, and which are of a file here. */
import { LowrankError, type Files } from "@lowrank/tensor";
import { nodeModule } from "./platform.ts";

/** A URL object, as `new URL(…)` is. */
export interface UrlLike {
  readonly href: string;
}

/** Where files are: a path, a URL, a model of the hub, or the files themselves. */
export type Where = string | UrlLike | Files;

export function isUrl(from: unknown): from is UrlLike {
  const { href, exists } = (from ?? {}) as Partial<UrlLike & Files>;
  // a store may have an address too
  return typeof from === "object" && typeof href === "string" && exists === undefined;
}

/** With `//`, so that names with a colon and drives of Windows stay paths; some schemes have none. */
const SCHEME = /^([a-z][a-z\d+.-]+:)\/\/|^((?:file|data|blob):)/i;

/**
 * A web address as it is, a `file:` URL as its path, any other string as it is.
 * @throws LowrankError (ConfigError) for schemes that are not read, and for `file:` URLs of no file here
 */
export function addressed(source: string, from: string): string {
  const [, withSlashes, without] = SCHEME.exec(from) ?? [];
  const scheme = (withSlashes ?? without)?.toLowerCase();
  if (scheme === undefined || scheme === "http:" || scheme === "https:") return from;
  const fail = (why: string, cause?: unknown): never => {
    throw new LowrankError("ConfigError", `${source}: ${shown(from)}: ${why}`, { cause });
  };
  if (scheme !== "file:")
    return fail(
      `the scheme ${scheme} is not read; https:, http: and file: are, and a model of the hub is "org/name": copy the files into a folder here`,
    );
  const url = nodeModule<{ fileURLToPath(url: string): string }>("node:url");
  if (url === undefined) return fail("there is no file system here; pass the files themselves");
  try {
    return url.fileURLToPath(from);
  } catch (cause) {
    return fail(`is the URL of no file here: ${(cause as Error).message}`, cause);
  }
}

/** Without what may be a secret, and not too long. */
function shown(url: string): string {
  return url
    .replace(/[?#].*$/s, "")
    .replace(/\/\/[^/@]*@/, "//")
    .slice(0, 200);
}
