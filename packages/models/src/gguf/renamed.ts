/** A GGUF file's tensors as Hugging Face has them: under its names, rows of queries and keys in its order, norms without what was added. */
import { FormatError, quote, type TensorInfo, type TensorSource } from "@lowrank/tensor";
import type { ConfigSource } from "../shared/config-table.ts";
import type { GgufArchitecture } from "./architecture.ts";
import { reordered } from "./pairs.ts";
import { ROPE_FACTORS } from "./rope-factors.ts";

/** Rows that stand in pairs, and so the piece of a tensor that has to be there to put some of them in order. */
interface Pairs {
  /** Rows of a head. */
  readonly rows: number;
  readonly rowBytes: number;
}

export class RenamedSource implements TensorSource {
  readonly #source: TensorSource;
  readonly #architecture: GgufArchitecture;
  readonly #config: ConfigSource;
  /** The file's names by the new ones. */
  readonly #stored: ReadonlyMap<string, string>;

  /** @throws FormatError where two tensors have one name */
  constructor(source: TensorSource, architecture: GgufArchitecture, config: ConfigSource) {
    this.#source = source;
    this.#architecture = architecture;
    this.#config = config;
    const stored = new Map<string, string>();
    for (const name of source.names) {
      // part of the config
      if (name === ROPE_FACTORS) continue;
      const renamed = architecture.names.read(name) ?? name;
      if (stored.has(renamed))
        throw new FormatError(`GGUF: the tensors ${quote(stored.get(renamed))} and ${quote(name)} are both ${renamed}`);
      stored.set(renamed, name);
    }
    this.#stored = stored;
  }

  get where(): string {
    return this.#source.where ?? "GGUF";
  }

  get names(): readonly string[] {
    return [...this.#stored.keys()];
  }

  has(name: string): boolean {
    return this.#stored.has(name);
  }

  info(name: string): TensorInfo {
    return this.#source.info(this.#nameOf(name));
  }

  async range(name: string, from = 0, to?: number): Promise<Uint8Array> {
    const stored = this.#nameOf(name);
    const { bytes, dtype } = this.#source.info(stored);
    const end = to ?? bytes;
    const pairs = this.#pairsOf(stored);
    if (pairs !== undefined) return this.#unpaired(stored, from, end, pairs);
    const raw = await this.#source.range(stored, from, end);
    const offset = this.#architecture.offset?.(stored) ?? 0;
    if (offset === 0) return raw;
    if (dtype !== "F32") throw new FormatError(`GGUF: tensor ${quote(stored)} is ${dtype}; norms are F32`);
    const numbers = new Float32Array(raw.buffer, raw.byteOffset, raw.length / 4);
    return new Uint8Array(numbers.map((v) => v - offset).buffer);
  }

  #nameOf(name: string): string {
    // the file's own message names what is near
    return this.#stored.get(name) ?? name;
  }

  #pairsOf(stored: string): Pairs | undefined {
    const heads = this.#architecture.pairedHeads?.(stored, this.#config);
    if (heads === undefined) return undefined;
    const { shape, bytes } = this.#source.info(stored);
    const rows = shape[0]! / heads;
    if (rows % 2 !== 0 || !Number.isInteger(rows))
      throw new FormatError(
        `GGUF: tensor ${quote(stored)} has ${shape[0]} rows, which are no pairs for ${heads} heads`,
      );
    return { rows, rowBytes: bytes / shape[0]! };
  }

  /** Whole heads are read. */
  async #unpaired(stored: string, from: number, to: number, { rows, rowBytes }: Pairs): Promise<Uint8Array> {
    const head = rows * rowBytes;
    const [first, last] = [Math.floor(from / head) * head, Math.ceil(to / head) * head];
    const raw = await this.#source.range(stored, first, last);
    return reordered(raw, rows, rowBytes, "model").slice(from - first, to - first);
  }
}
