/**
 * A checkpoint as one file, or as shards with an index where it is larger than one may be: the names and the split of `huggingface_hub`,
 * so that transformers reads either.
 */
import { pythonJson } from "../check/index.ts";
import { LowrankError } from "../errors.ts";
import type { WritableFiles } from "../files/store.ts";
import { encodeUtf8 } from "../utf8.ts";
import { entryBytes, writeEntries, type FileEntry } from "./writer.ts";

export interface ShardOptions {
  /** Bytes of tensors in one file. A larger tensor is a file by itself. Default 50 · 10⁹, as in transformers 5. */
  readonly maxShardSize?: number;
  /** For the index's metadata, besides the bytes. */
  readonly metadata?: Readonly<Record<string, unknown>>;
}

const WHOLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";
const SHARD = /^model-\d{5}-of-\d{5}\.safetensors$/;

/**
 * Writes `model.safetensors`, or `model-00001-of-0000N.safetensors`, … and `model.safetensors.index.json`. One tensor is in memory at a time.
 * What an earlier checkpoint in the same place has under these names and is no part of this one is removed, after all is written.
 * @returns the files of tensors
 * @throws LowrankError (FileError) where a file there would be read instead of the shards and the place cannot remove it
 */
export async function writeShards(
  files: WritableFiles,
  entries: ReadonlyMap<string, FileEntry>,
  { maxShardSize = 50e9, metadata = {} }: ShardOptions = {},
): Promise<string[]> {
  const shards = split(entries, maxShardSize);
  const nameOf = (i: number): string =>
    shards.length === 1 ? WHOLE : `model-${fiveDigits(i + 1)}-of-${fiveDigits(shards.length)}.safetensors`;
  if (shards.length > 1 && files.remove === undefined && (await files.exists(WHOLE)))
    throw new LowrankError(
      "FileError",
      `${files.where}: has a ${WHOLE}, which would be read instead of the ${shards.length} shards; remove it, save elsewhere, or give files that have remove(name)`,
    );
  const names = shards.map((_, i) => nameOf(i));
  for (const [i, shard] of shards.entries()) await files.write(names[i]!, (sink) => writeEntries(sink, shard));
  if (shards.length > 1) {
    const total = [...entries.values()].reduce((bytes, entry) => bytes + entryBytes(entry), 0);
    const home = shards.flatMap((shard, i) => [...shard.keys()].map((name) => [name, names[i]!] as const));
    const index = { metadata: { ...metadata, total_size: total }, weight_map: Object.fromEntries(home) };
    const text = encodeUtf8(`${pythonJson(index, { indent: 2, sortKeys: true })}\n`);
    await files.write(INDEX, async (sink) => sink(text));
  }
  await removeOthers(files, [...names, ...(shards.length > 1 ? [INDEX] : [])]);
  return names;
}

/** Tensors in their order, a new file where the next would not fit; huggingface_hub's split. */
function split(entries: ReadonlyMap<string, FileEntry>, most: number): Map<string, FileEntry>[] {
  const shards: Map<string, FileEntry>[] = [];
  let [shard, size] = [new Map<string, FileEntry>(), 0];
  for (const [name, entry] of entries) {
    const bytes = entryBytes(entry);
    if (bytes > most) {
      shards.push(new Map([[name, entry]]));
      continue;
    }
    if (size + bytes > most) {
      shards.push(shard);
      [shard, size] = [new Map(), 0];
    }
    shard.set(name, entry);
    size += bytes;
  }
  if (shard.size > 0 || shards.length === 0) shards.push(shard);
  return shards;
}

async function removeOthers(files: WritableFiles, written: readonly string[]): Promise<void> {
  if (files.remove === undefined) return;
  const there = (await files.list?.()) ?? [WHOLE, INDEX];
  for (const name of there)
    if ((name === WHOLE || name === INDEX || SHARD.test(name)) && !written.includes(name) && (await files.exists(name)))
      await files.remove(name);
}

function fiveDigits(n: number): string {
  return String(n).padStart(5, "0");
}
