/** What the environment says of the hub, under the names that huggingface_hub reads. */
import { LowrankError, quote } from "@lowrank/tensor";
import { callback, checkOptions, fields, flag, name, optional, whole } from "@lowrank/tensor/check";
import { HUB_ID } from "../hub-id.ts";
import { nodeModule, nodeProcess } from "../platform.ts";
import { TIMEOUT } from "../request.ts";

export interface HubProgress {
  readonly file: string;
  /** Bytes that are there, those of an earlier attempt included. */
  readonly loaded: number;
  readonly total: number;
}

export interface HubOptions {
  /** Branch, tag or commit. Default "main". */
  readonly revision?: string;
  /** For models that are not public. Default: `HF_TOKEN`. It is sent to the endpoint only. */
  readonly token?: string;
  /** Folder of the cache. Default: `HF_HUB_CACHE`, or `hub` in `HF_HOME`, or `~/.cache/huggingface/hub`. In browsers it is theirs. */
  readonly cache?: string;
  /** Default: `HF_ENDPOINT`, or https://huggingface.co. */
  readonly endpoint?: string;
  /** Takes what the cache has and asks nobody. Default: `HF_HUB_OFFLINE`. */
  readonly offline?: boolean;
  /** Asks where the revision points now; else the cache knows it once it has been asked. Default false. */
  readonly refresh?: boolean;
  /** What the cache does not have is read by ranges and not kept, as for a look at headers. In browsers files are read so anyway. Default false. */
  readonly ranges?: boolean;
  /** Called as bytes of a file arrive. */
  readonly onProgress?: (progress: HubProgress) => void;
  /** Silence after which a request is given up, in ms. Default 10,000. */
  readonly timeout?: number;
}

const OPTIONS = fields<HubOptions>({
  revision: optional(name),
  token: optional(name),
  cache: optional(name),
  endpoint: optional(name),
  offline: optional(flag),
  refresh: optional(flag),
  ranges: optional(flag),
  onProgress: optional(callback()),
  timeout: optional(whole(1)),
});

/** A model at the hub, and how it is asked for. */
export interface HubSettings {
  readonly id: string;
  readonly revision: string;
  readonly token: string | undefined;
  readonly cache: string;
  readonly endpoint: string;
  readonly offline: boolean;
  readonly refresh: boolean;
  readonly ranges: boolean;
  readonly timeout: number;
  readonly onProgress: (progress: HubProgress) => void;
}

/** @throws LowrankError where the id or the revision cannot be one */
export function settingsOf(id: string, options: HubOptions): HubSettings {
  const given = checkOptions("hub", OPTIONS, options);
  if (typeof id !== "string" || !HUB_ID.test(id) || /--|\.\./.test(id))
    throw new LowrankError("InputError", `hub: ${quote(id)} is no name of a model; it is like "org/name"`);
  const { revision = "main" } = given;
  if (!revision.split("/").every((part) => /^[\w.@+-]+$/.test(part) && !/^\.\.?$/.test(part)))
    throw new LowrankError("InputError", `hub: ${quote(revision)} is no revision; it is a branch, a tag or a commit`);
  const env = nodeProcess?.env ?? {};
  return {
    id,
    revision,
    token: given.token ?? (env["HF_TOKEN"] || undefined),
    cache: given.cache ?? cacheFolder(env),
    endpoint: (given.endpoint ?? (env["HF_ENDPOINT"] || "https://huggingface.co")).replace(/\/+$/, ""),
    offline: given.offline ?? /^(1|ON|YES|TRUE)$/i.test(env["HF_HUB_OFFLINE"] || env["TRANSFORMERS_OFFLINE"] || ""),
    refresh: given.refresh ?? false,
    ranges: given.ranges ?? false,
    timeout: given.timeout ?? TIMEOUT,
    onProgress: given.onProgress ?? (() => {}),
  };
}

function cacheFolder(env: Readonly<Record<string, string | undefined>>): string {
  const home = (): string => nodeModule<{ homedir(): string }>("node:os")?.homedir() ?? "";
  const hub =
    env["HF_HUB_CACHE"] ||
    env["HUGGINGFACE_HUB_CACHE"] ||
    `${env["HF_HOME"] || `${env["XDG_CACHE_HOME"] || `${home()}/.cache`}/huggingface`}/hub`;
  return hub.replace(/^~(?=\/|$)/, home);
}
