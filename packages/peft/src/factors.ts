/** An adapter as products alone: a pair of matrices and a factor for each module, which is all that files of llama.cpp and MLX hold. */
import { LowrankError } from "@lowrank/tensor";
import type { Adapter } from "./adapter.ts";
import { AdaptedEmbedding } from "./layers/adapted-embedding.ts";
import type { LowRank, Product } from "./layers/update.ts";
import { requireTaken } from "./saving.ts";

/** What is added to a module's weight [out, in]: scale·B·A, A [rank, in], B [out, rank]. */
export interface ModuleFactors extends Product {
  readonly module: string;
  readonly inFeatures: number;
  readonly outFeatures: number;
}

/**
 * The products of an adapter beside the original base, in the order of its table; modules whose rank has come to 0 are left out.
 * @param what the form that they are for, in messages: "a GGUF adapter"
 * @throws LowrankError (NotBuiltError) naming the part of the adapter that is no such product
 */
export async function adapterFactors(adapter: Adapter, what: string): Promise<ModuleFactors[]> {
  requireProducts(adapter, what);
  requireTaken(adapter, what);
  const out: ModuleFactors[] = [];
  for (const { module, inFeatures, outFeatures } of adapter.table) {
    const update = adapter.updates.get(module)!;
    const product = await besideBase(update.lowRank!, adapter.taken.get(module));
    if (product.rank > 0) out.push({ module, inFeatures, outFeatures, ...product });
  }
  return out;
}

/** With what a start took from the base: [A; A₀], [s·B, −s₀·B₀]. */
async function besideBase(update: LowRank, taken: Product | undefined): Promise<Product> {
  const { rank, a, b, scale } = await update.numbers!();
  if (taken === undefined) return { rank, a, b, scale };
  const [wide, outFeatures] = [rank + taken.rank, b.length / rank];
  const stacked = new Float32Array(a.length + taken.a.length);
  stacked.set(a);
  stacked.set(taken.a, a.length);
  const beside = new Float32Array(outFeatures * wide);
  for (let o = 0; o < outFeatures; o++) {
    for (let k = 0; k < rank; k++) beside[o * wide + k] = scale * b[o * rank + k]!;
    for (let k = 0; k < taken.rank; k++) beside[o * wide + rank + k] = -taken.scale * taken.b[o * taken.rank + k]!;
  }
  return { rank: wide, a: stacked, b: beside, scale: 1 };
}

function requireProducts({ method, config, copies, sites, updates, tokens }: Adapter, what: string): void {
  const refuse = (part: string): never => {
    throw new LowrankError(
      "NotBuiltError",
      `${what} cannot hold ${part}; merge the adapter and export the whole model, or keep PEFT's form`,
    );
  };
  const [copy] = copies.keys();
  if (copy !== undefined) refuse(`${copy}, which was trained whole (modules_to_save)`);
  if (config.bias !== "none") refuse(`biases of the base, which were trained along (bias "${config.bias}")`);
  const [table] = tokens.keys();
  if (table !== undefined) refuse(`rows of ${table}, which were trained by themselves (trainable_token_indices)`);
  for (const [path, layer] of sites) {
    const { lowRank } = updates.get(path)!;
    if (layer instanceof AdaptedEmbedding) refuse(`an update of the table ${path}`);
    if (lowRank?.numbers === undefined) refuse(`${method.label}, whose update is no product of two matrices`);
    else if (lowRank.alone !== true)
      refuse(
        updates.get(path)!.changesBias
          ? `a bias of B's own (lora_bias) on ${path}`
          : `${method.label}, which does more than add a product`,
      );
  }
}
