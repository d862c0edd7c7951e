/** A module of `modules_to_save`: the original stays frozen, a copy for each adapter that names it is trained. Stands in the module's place whatever its kind is. */
import { Conv1D, Embedding, LayerNorm, Linear, Module, Projection, RMSNorm, Weight } from "@lowrank/nn";
import { invariant, LowrankError, structureChanged, type CrossEntropyOptions, type Tensor } from "@lowrank/tensor";

/** What models read of a layer. */
type Leaf = Module & { readonly weight: Weight; readonly bias?: Weight | undefined; forward(x: Tensor): Tensor };

export class SavedCopy extends Module {
  readonly original: Leaf;
  readonly copies: Map<string, Leaf> = new Map();
  #active: readonly string[] = [];
  readonly #off = new Set<string>();

  constructor(original: Module) {
    super();
    this.original = original as Leaf;
  }

  /** Adapters that take part; the copy of the first that has one is used. */
  get active(): readonly string[] {
    return this.#active;
  }

  set active(names: readonly string[]) {
    this.#active = names;
    structureChanged();
  }

  /** Switches one adapter off or on. */
  switch(name: string, on: boolean): void {
    if (on !== this.#off.has(name)) return;
    if (on) this.#off.delete(name);
    else this.#off.add(name);
    structureChanged();
  }

  /** Takes an adapter's copy away; it is not disposed of. */
  remove(name: string): void {
    this.copies.delete(name);
    this.#off.delete(name);
    structureChanged();
  }

  /** What stands for the module now. */
  get copy(): Leaf {
    const name = this.#active.find((n) => this.copies.has(n) && !this.#off.has(n));
    return name === undefined ? this.original : this.copies.get(name)!;
  }

  get weight(): Weight {
    return this.copy.weight;
  }
  get bias(): Weight | undefined {
    return this.copy.bias;
  }

  override *namedWeights(prefix = ""): Generator<[string, Weight]> {
    yield* this.original.namedWeights(prefix);
    for (const [name, copy] of this.copies) yield* copy.namedWeights(`${prefix}.modules_to_save.${name}`);
  }

  override *children(): Generator<[string, Module]> {
    yield ["original", this.original];
    for (const [name, copy] of this.copies) yield [`modules_to_save.${name}`, copy];
  }

  forward(x: Tensor): Tensor {
    return this.copy.forward(x);
  }

  /** Where the module is an output layer, a `Projection`: as that has it. */
  crossEntropy(x: Tensor, labels: Tensor, options?: CrossEntropyOptions): Tensor {
    const { copy } = this;
    invariant(copy instanceof Projection, "losses are asked of projections");
    return copy.crossEntropy(x, labels, options);
  }
}

/** An empty module of the same kind and size. Its weights are not materialized. @throws LowrankError (AdapterError) on kinds that cannot be copied */
export function emptyCopy(path: string, original: Module): Leaf {
  if (original instanceof Projection)
    return original.fanInFanOut
      ? new Conv1D(original.inFeatures, original.outFeatures)
      : new Linear(original.inFeatures, original.outFeatures, { bias: original.bias !== undefined });
  if (original instanceof Embedding)
    return new Embedding(
      original.weight.shape[0]!,
      original.weight.shape[1]!,
      original.weight.init,
      original.paddingIndex,
    );
  if (original instanceof LayerNorm) return new LayerNorm(original.weight.size, original.eps);
  if (original instanceof RMSNorm) return new RMSNorm(original.weight.size, original.eps, original.offset);
  throw new LowrankError(
    "AdapterError",
    `modules_to_save: ${path} is no layer that can be copied; projections, embeddings, LayerNorm and RMSNorm can`,
  );
}

/** The layers that a saved module consists of, with their paths: itself, or those in it. */
export function leavesOf(path: string, module: Module): [string, Module][] {
  if (module instanceof SavedCopy) return [[path, module]];
  // a tied output layer has its weight elsewhere
  const own = module instanceof Projection || Object.values(module).some((value) => value instanceof Weight);
  const inner = [...module.children()].flatMap(([name, child]) => leavesOf(`${path}.${name}`, child));
  return own ? [[path, module], ...inner] : inner;
}
