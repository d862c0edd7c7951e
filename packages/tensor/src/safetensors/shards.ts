/**
 * A checkpoint in several files and an index that says which tensor is in which, as one source. An index is believed as little as a
 * header: names stay inside the folder, and what it says of a shard must be what the shard says itself.
 */
import { absent, anything, checkFile, fields, mapOf, parseJson, text, type Rule } from "../check/index.ts";
import { FormatError, LowrankError, quote } from "../errors.ts";
import { Handles } from "../files/handles.ts";
import type { Files } from "../files/store.ts";
import { noSuchTensor, type TensorInfo, type TensorSource } from "../files/tensor-source.ts";
import { SafetensorsFile } from "./file.ts";

const INDEX_NAME = "model.safetensors.index.json";
/** Shards that are open at once. */
const MOST_OPEN = 4;

interface Index {
  readonly weight_map: Readonly<Record<string, string>>;
  readonly metadata: { readonly total_size?: unknown } | undefined;
}

const INDEX: Rule<Index> = fields<Index>(
  {
    weight_map: mapOf(text),
    metadata: absent(fields<{ readonly total_size?: unknown }>({ total_size: anything() }, { unknown: "keep" })),
  },
  { unknown: "keep" },
);

/** Tensors of several files. To be closed by who opened it. */
export interface ShardedSource extends TensorSource {
  /** Files of the shards. */
  readonly shards: readonly string[];
  close(): Promise<void>;
}

/** Names of the files that an index names; none of them is looked at. @throws LowrankError (FormatError, FileError) for an index that cannot be one */
export async function shardNames(files: Files, index: string = INDEX_NAME): Promise<readonly string[]> {
  return (await readIndex(files, index)).shards;
}

interface ReadIndex {
  readonly source: string;
  readonly parsed: Index;
  /** Shards by the tensors in them. */
  readonly said: ReadonlyMap<string, string>;
  readonly shards: readonly string[];
}

async function readIndex(files: Files, index: string): Promise<ReadIndex> {
  const source = `${files.where}/${index}`;
  const content = await files.text(index);
  const json = parseJson(content, source);
  const parsed = checkFile(source, INDEX, json);
  if (keysIn(content) !== keysOf(json))
    throw new FormatError(`${source}: has the same key twice: a tensor is named twice, or one thing is said twice`);
  const said = new Map(Object.entries(parsed.weight_map));
  if (said.size === 0) throw new FormatError(`${source}: "weight_map" names no tensor`);
  const shards = [...new Set(said.values())].sort();
  for (const shard of shards) requireInside(shard, source);
  return { source, parsed, said, shards };
}

/**
 * Reads an index and the header of every shard. Tensors are read by range; a shard is open only while it is needed.
 * @param index name of the index among the files
 * @throws LowrankError (FormatError, FileError) where a shard is missing, or index and shards do not say the same
 */
export async function openShards(files: Files, index: string = INDEX_NAME): Promise<ShardedSource> {
  const { source, parsed, said, shards } = await readIndex(files, index);
  await requireThere(files, shards, source);

  const handles = new Handles(files, MOST_OPEN);
  try {
    const homes = new Map<string, { readonly shard: string; readonly file: SafetensorsFile }>();
    for (const shard of shards) {
      const file = await shardOf(handles, shard, `${files.where}/${shard}`);
      for (const name of file.names) {
        const other = homes.get(name);
        if (other !== undefined)
          throw new FormatError(`${source}: tensor ${quote(name)} is in ${quote(other.shard)} and in ${quote(shard)}`);
        homes.set(name, { shard, file });
      }
    }
    for (const [name, shard] of said) {
      const home = homes.get(name)?.shard;
      if (home !== shard)
        throw new FormatError(
          `${source}: tensor ${quote(name)} is said to be in ${quote(shard)}, and is ${home === undefined ? "in no shard" : `in ${quote(home)}`}`,
        );
    }
    requireTotal(source, parsed.metadata?.total_size, [...said.keys()], [...homes.keys()], (name) => {
      return homes.get(name)!.file.info(name);
    });
    const home = (name: string): SafetensorsFile => {
      const found = homes.get(name);
      if (found === undefined) throw noSuchTensor(files.where, name, [...homes.keys()]);
      return found.file;
    };
    return {
      where: files.where,
      shards,
      names: [...homes.keys()],
      has: (name) => homes.has(name),
      info: (name) => home(name).info(name),
      range: async (name, begin, end) => home(name).range(name, begin, end),
      close: () => handles.close(),
    };
  } catch (error) {
    await handles.close();
    throw error;
  }
}

async function requireThere(files: Files, shards: readonly string[], source: string): Promise<void> {
  const lost: string[] = [];
  for (const shard of shards) if (!(await files.exists(shard))) lost.push(quote(shard));
  if (lost.length === 0) return;
  const named = `${lost.slice(0, 3).join(", ")}${lost.length > 3 ? ", …" : ""}`;
  throw new LowrankError(
    "FileError",
    `${source}: names ${lost.length === 1 ? `${named}, which is` : `${lost.length} of ${shards.length} files that are`} not there${lost.length === 1 ? "" : ` (${named})`}; copy every shard`,
  );
}

/** What is wrong with one of many files is said with its name. */
async function shardOf(handles: Handles, shard: string, where: string): Promise<SafetensorsFile> {
  try {
    return await SafetensorsFile.open(await handles.file(shard));
  } catch (error) {
    if (!(error instanceof FormatError) || error.message.startsWith(where)) throw error;
    throw new FormatError(`${where}: ${error.message}`, { cause: error });
  }
}

/** @throws FormatError where a name of a file leads anywhere but into the folder */
function requireInside(name: string, source: string): void {
  const parts = name.split("/");
  if (parts.some((p) => p === "" || p === "." || p === "..") || /[\\:?#%\p{Cc}]/u.test(name))
    throw new FormatError(`${source}: names ${quote(name)}; a shard is a file inside the folder`);
  if (!name.endsWith(".safetensors"))
    throw new FormatError(`${source}: names ${quote(name)}; shards that can be read are safetensors files`);
}

/** Bytes of all tensors: of those that the index names, or, since writers differ in it, of all there are. */
function requireTotal(
  source: string,
  total: unknown,
  named: readonly string[],
  all: readonly string[],
  info: (name: string) => TensorInfo,
): void {
  if (total === undefined) return;
  const sum = (names: readonly string[]): number => names.reduce((bytes, name) => bytes + info(name).bytes, 0);
  const [wanted, there] = [sum(named), sum(all)];
  if (total !== wanted && total !== there)
    throw new FormatError(
      `${source}: "total_size" is ${quote(total)}, and the tensors have ${wanted} bytes; index and shards are not of one checkpoint, or a shard is cut off`,
    );
}

/** Keys that an object has at any depth. */
function keysOf(value: unknown): number {
  let keys = 0;
  const open: unknown[] = [value];
  while (open.length > 0) {
    const one = open.pop();
    if (typeof one !== "object" || one === null) continue;
    const values: readonly unknown[] = Object.values(one);
    if (!Array.isArray(one)) keys += values.length;
    for (const inner of values) open.push(inner);
  }
  return keys;
}

/** Keys that stand in a JSON text: colons outside of strings. JSON.parse keeps the last of two equal ones. */
function keysIn(json: string): number {
  let keys = 0;
  for (let i = 0; i < json.length; i++) {
    if (json[i] === ":") keys++;
    else if (json[i] === '"') for (i++; i < json.length && json[i] !== '"'; i++) if (json[i] === "\\") i++;
  }
  return keys;
}
