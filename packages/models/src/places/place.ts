/** What is meant by a string that says where a checkpoint is: a URL, a folder or file here, or a model of the hub ("org/name"), in this order. */
import { directory, LowrankError, quote, type Files } from "@lowrank/tensor";
import { files as aStore, isAbsent, leaf, type Rule } from "@lowrank/tensor/check";
import { http } from "./http.ts";
import { HUB_ID } from "./hub-id.ts";
import { nodeModule } from "./platform.ts";
import { addressed, isUrl, type Where } from "./url.ts";

export interface Place {
  readonly files: Files;
  /** The file among them that was named, where it was no folder. */
  readonly file?: string;
  /** It is a model of the hub. */
  readonly hub?: true;
}

const PATH: Rule<string> = leaf(
  `the path of a folder or file, a URL, a model of the hub, or ${aStore.expects}`,
  (v) => typeof v === "string" && v !== "",
);
/** What may be said of where files are. */
const PLACE: Rule<Where> = {
  expects: PATH.expects,
  // of a store what it lacks is named
  read: (value, at) =>
    isUrl(value) ? value : (typeof value === "object" && value !== null ? aStore : PATH).read(value, at),
};

/** Tells a place that was found from what says where it is. */
export function isPlace(from: Where | Place): from is Place {
  return typeof from === "object" && from !== null && "files" in from && !("where" in from);
}

/** Names that are a file's and not a folder's or a model's, whether or not it is there. */
const FILE = /[^/\\]\.(?:bin|gguf|safetensors|json)$/i;

interface Stats {
  isFile(): boolean;
  isDirectory(): boolean;
}

/** What is said of the hub, should it be meant. */
export interface HubChoice {
  readonly revision?: string;
  readonly ranges?: boolean;
}

/**
 * @param source the function that was called, for messages
 * @param wanted a file that is looked for first: where the hub is meant only because nothing here has the name, an error says so
 * @throws LowrankError (ConfigError) where `from` is no place, (FileError) where nothing can be meant
 */
export async function placeOf(source: string, from: Where, wanted: string, how: HubChoice = {}): Promise<Place> {
  const found = await meant(source, from, wanted, how);
  if (how.revision !== undefined && !("hub" in found))
    throw new LowrankError(
      "InputError",
      `${found.files.where}: is no model of the hub, and only those have revisions; leave out ${quote(how.revision)}`,
    );
  return found;
}

async function meant(source: string, given: Where, wanted: string, how: HubChoice): Promise<Place> {
  PLACE.read(given, { source, path: ["from"], code: "ConfigError" });
  if (typeof given !== "string" && !isUrl(given)) return given.list === undefined ? { files: given } : alone(given);
  const from = addressed(source, isUrl(given) ? given.href : given);
  if (/^https?:\/\//i.test(from)) return webPlace(from);
  const fs = nodeModule<{ stat(path: string): Promise<Stats> }>("node:fs/promises");
  // without files of its own a page means what lies beside it
  if (fs === undefined && /^[./]/.test(from)) return webPlace(from);
  const here = await fs?.stat(from).catch((cause: unknown) => {
    if (isAbsent(cause)) return undefined;
    throw new LowrankError("FileError", `${from}: cannot be looked at: ${(cause as Error).message}`, { cause });
  });
  if (here !== undefined && !here.isFile() && !here.isDirectory())
    throw new LowrankError("FileError", `${from}: is neither a folder nor a regular file`);
  if (here?.isFile() === true || (here === undefined && FILE.test(from))) {
    const [, folder = ".", file] = /^(?:(.*)[/\\])?([^/\\]+)$/.exec(from)!;
    return { files: directory(folder === "" ? "/" : folder), file: file! };
  }
  // a name alone is a folder's: those of the oldest models have their owner's before them too
  if (here !== undefined || !from.includes("/") || !HUB_ID.test(from)) return { files: directory(from) };
  return { files: await atHub(from, wanted, how), hub: true };
}

/** One file without a folder is what was named. */
async function alone(files: Files): Promise<Place> {
  const names = await files.list!().catch(noneIfAbsent);
  return names.length === 1 ? { files, file: names[0]! } : { files };
}

/** A folder that is not there has no files; what else is wrong with it is said. */
export function noneIfAbsent(error: unknown): readonly string[] {
  if (isAbsent(error)) return [];
  throw error;
}

function webPlace(url: string): Place {
  const [, folder, file] = /^([^?#]*)\/([^/?#]+)$/.exec(url) ?? [];
  return file === undefined || !FILE.test(file)
    ? { files: http(url) }
    : { files: http(folder!), file: decodeURIComponent(file) };
}

/** What is wrong with a file is said with its name. */
export function ofFile(where: string, error: unknown): unknown {
  if (!(error instanceof LowrankError) || error.kind !== "input" || error.message.startsWith(where)) return error;
  return new LowrankError(error.code, `${where}: ${error.message}`, { cause: error });
}

/** The hub's client is loaded by whoever needs it. */
async function atHub(id: string, wanted: string, how: HubChoice): Promise<Files> {
  const { hub } = await import("./hub/hub.ts");
  try {
    const files = hub(id, how);
    await files.exists(wanted);
    return files;
  } catch (error) {
    if (!(error instanceof LowrankError)) throw error;
    throw new LowrankError(
      error.code,
      `there is no folder ${quote(id)} here, and as a model of the hub: ${error.message}`,
      {
        cause: error,
      },
    );
  }
}
