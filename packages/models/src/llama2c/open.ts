/** A checkpoint of Karpathy's llama2.c as one of Llama: the config that transformers would write, and the tensors under its names. */
import { LowrankError, type RandomAccess, type TensorInfo, type TensorSource } from "@lowrank/tensor";
import type { ConfigSource } from "../shared/config-table.ts";
import { pickleRefusal } from "../weights-file.ts";
import { entriesOf, HEADER_BYTES, readSizes, type Llama2cEntry, type Llama2cSizes } from "./layout.ts";

/** @throws LowrankError: FormatError where sizes and length do not fit, NotBuiltError for the version in eight bits */
export async function openLlama2c(
  file: RandomAccess,
  where: string,
): Promise<{ config: ConfigSource; weights: TensorSource }> {
  const head = await file.read(0, Math.min(HEADER_BYTES, file.size));
  // a zip archive, or a bare pickle
  if ((head[0] === 0x50 && head[1] === 0x4b) || (head[0] === 0x80 && head[1]! >= 2 && head[1]! <= 5))
    throw new LowrankError("FileError", `${where}: ${pickleRefusal}`);
  const { sizes, version } = readSizes(head, file.size, where);
  return { config: configOf(sizes), weights: new Llama2cSource(file, where, entriesOf(sizes, version)) };
}

function configOf(sizes: Llama2cSizes): ConfigSource {
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: sizes.vocab,
    hidden_size: sizes.dim,
    intermediate_size: sizes.hidden,
    num_hidden_layers: sizes.layers,
    num_attention_heads: sizes.heads,
    num_key_value_heads: sizes.keyHeads,
    max_position_embeddings: sizes.positions,
    rms_norm_eps: 1e-5,
    rope_theta: 10_000,
    hidden_act: "silu",
    tie_word_embeddings: sizes.tied,
    bos_token_id: 1,
    eos_token_id: 2,
  };
}

class Llama2cSource implements TensorSource {
  readonly #file: RandomAccess;
  readonly where: string;
  readonly #entries: ReadonlyMap<string, Llama2cEntry>;

  constructor(file: RandomAccess, where: string, entries: ReadonlyMap<string, Llama2cEntry>) {
    this.#file = file;
    this.where = where;
    this.#entries = entries;
  }

  get names(): string[] {
    return [...this.#entries.keys()];
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  info(name: string): TensorInfo {
    const { shape } = this.#entry(name);
    return { dtype: "F32", shape, bytes: 4 * shape.reduce((n, d) => n * d, 1) };
  }

  async range(name: string, from = 0, to: number = this.info(name).bytes): Promise<Uint8Array> {
    const { begin, shape, paired } = this.#entry(name);
    if (paired === undefined) {
      const bytes = await this.#file.read(begin + from, begin + to);
      // typed arrays need their own alignment, which offsets in a file do not give
      return bytes.byteOffset % 8 === 0 && bytes.buffer instanceof ArrayBuffer ? bytes : Uint8Array.from(bytes);
    }
    const row = 4 * shape[1]!;
    // whole heads, since their rows change places
    const [first, end] = [Math.floor(from / (paired * row)), Math.ceil(to / (paired * row))];
    const bytes = await this.#file.read(begin + first * paired * row, begin + end * paired * row);
    const out = new Uint8Array(bytes.length);
    for (let head = 0; head < end - first; head++)
      for (let i = 0; i < paired; i++) {
        // transformers has the first elements of all pairs, then the second
        const source = head * paired + 2 * (i % (paired / 2)) + Math.floor(i / (paired / 2));
        out.set(bytes.subarray(source * row, (source + 1) * row), (head * paired + i) * row);
      }
    return out.slice(from - first * paired * row, to - first * paired * row);
  }

  #entry(name: string): Llama2cEntry {
    const entry = this.#entries.get(name);
    if (entry === undefined) throw new LowrankError("FormatError", `${this.where}: there is no tensor ${name}`);
    return entry;
  }
}
