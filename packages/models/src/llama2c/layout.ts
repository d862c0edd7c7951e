/** What a file of llama2.c holds and where: seven sizes, then f32 numbers and nothing that names them (llama2.c, export.py and run.c). */
import { FormatError, LowrankError } from "@lowrank/tensor";
import { pickleRefusal } from "../weights-file.ts";

export interface Llama2cSizes {
  readonly dim: number;
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly vocab: number;
  readonly positions: number;
  readonly tied: boolean;
}

export interface Llama2cEntry {
  readonly begin: number;
  readonly shape: readonly number[];
  /** Elements of a head, where rows of a head are pairs that turn together: they lie side by side in the file. */
  readonly paired?: number;
}

/** "ak42": the file says its version; without it, it is of version 0. */
const MAGIC = 0x616b3432;
const HEADER = 28;
const HEADER_1 = 256;

export const HEADER_BYTES: number = HEADER_1;

/** @param head the first bytes of the file. @throws LowrankError where it is none, or of a version that is not read */
export function readSizes(head: Uint8Array, size: number, where: string): { sizes: Llama2cSizes; version: 0 | 1 } {
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  const versioned = head.length >= 4 && view.getUint32(0, true) === MAGIC;
  const fail = (why: string): never => {
    throw new FormatError(`${where}: is no file of llama2.c: ${why}`);
  };
  /** Nothing in the file speaks for llama2.c. */
  const foreign = (why: string): never => fail(versioned ? why : `${why}; a .bin of PyTorch ${pickleRefusal}`);
  if (head.length < HEADER) foreign(`${size} bytes are too few for its header`);
  const version = versioned ? view.getInt32(4, true) : 0;
  if (version !== 0 && version !== 1)
    throw new LowrankError(
      "NotBuiltError",
      `${where}: is of version ${version} of llama2.c's files, in eight bits; versions 0 and 1 are read (export.py --version 1)`,
    );
  if (versioned && head.length < HEADER_1) fail(`${size} bytes are too few for its header`);
  const at = versioned ? 8 : 0;
  const [dim, hidden, layers, heads, keyHeads, words, positions] = Array.from({ length: 7 }, (_, i) =>
    view.getInt32(at + 4 * i, true),
  ) as [number, number, number, number, number, number, number];
  // in version 0 the sign says whether the output layer is the table
  const [vocab, tied] = versioned ? [words, view.getUint8(at + 28) !== 0] : [Math.abs(words), words > 0];
  const sizes = { dim, hidden, layers, heads, keyHeads, vocab, positions, tied };
  const wrong = Object.entries(sizes).find(([, v]) => typeof v === "number" && !(v >= 1 && v <= 2 ** 30));
  if (wrong !== undefined) foreign(`its ${wrong[0]} would be ${wrong[1]}`);
  if (dim % heads !== 0 || heads % keyHeads !== 0 || (dim / heads) % 2 !== 0)
    foreign(`${dim} numbers, ${heads} heads and ${keyHeads} heads of keys do not fit`);
  const wanted = bytesOf(sizes, version);
  if (wanted !== size) fail(`sizes ${JSON.stringify(sizes)} need ${wanted} bytes, and it has ${size}`);
  return { sizes, version };
}

interface Row {
  readonly name: string;
  readonly shape: readonly number[];
  readonly paired?: number;
}

const count = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1);

/** In the file's order: a name with `*` stands once for each layer. An empty name is what a reader has no use for. */
function rows({ dim, hidden, heads, keyHeads, vocab, positions, tied }: Llama2cSizes, version: 0 | 1): Row[] {
  const head = dim / heads;
  const table = { name: "model.embed_tokens.weight", shape: [vocab, dim] };
  const norms = ["input_layernorm", "post_attention_layernorm"].map((n) => ({
    name: `model.layers.*.${n}.weight`,
    shape: [dim],
  }));
  const matrix = (name: string, out: number, into: number, paired?: number): Row => ({
    name: `model.layers.*.${name}.weight`,
    shape: [out, into],
    ...(paired === undefined ? {} : { paired }),
  });
  const attention = [
    matrix("self_attn.q_proj", dim, dim, head),
    matrix("self_attn.k_proj", keyHeads * head, dim, head),
    matrix("self_attn.v_proj", keyHeads * head, dim),
    matrix("self_attn.o_proj", dim, dim),
  ];
  const mlp = [
    matrix("mlp.gate_proj", hidden, dim),
    matrix("mlp.down_proj", dim, hidden),
    matrix("mlp.up_proj", hidden, dim),
  ];
  const norm = { name: "model.norm.weight", shape: [dim] };
  const output = tied ? [] : [{ name: "lm_head.weight", shape: [vocab, dim] }];
  if (version === 1) return [...norms, norm, table, ...attention, ...mlp, ...output];
  // cosines and sines, which follow from the sizes
  const rotations = { name: "", shape: [positions, head] };
  return [table, norms[0]!, ...attention, norms[1]!, ...mlp, norm, rotations, ...output];
}

function bytesOf(sizes: Llama2cSizes, version: 0 | 1): number {
  const times = ({ name }: Row): number => (name.includes("*") ? sizes.layers : 1);
  return rows(sizes, version).reduce(
    (bytes, row) => bytes + 4 * times(row) * count(row.shape),
    version === 1 ? HEADER_1 : HEADER,
  );
}

/** Places of all tensors. The sizes have been held against the file's: there are no more of them than it has bytes. */
export function entriesOf(sizes: Llama2cSizes, version: 0 | 1): Map<string, Llama2cEntry> {
  const entries = new Map<string, Llama2cEntry>();
  let begin = version === 1 ? HEADER_1 : HEADER;
  for (const { name, shape, ...how } of rows(sizes, version))
    for (let layer = 0; layer < (name.includes("*") ? sizes.layers : 1); layer++) {
      if (name !== "") entries.set(name.replace("*", String(layer)), { begin, shape, ...how });
      begin += 4 * count(shape);
    }
  return entries;
}
