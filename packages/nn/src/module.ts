/**
 * The module tree. Children and weights are ordinary properties; their names are the property names, which are chosen to be those
 * of Hugging Face, so that a path in the tree is a key in a checkpoint.
 */
import {
  LowrankError,
  structureChanged,
  structureSwitch,
  structureSwitched,
  withScope,
  type StoredTensor,
} from "@lowrank/tensor";
import type { FamilyFacts } from "./family.ts";
import { loadStateDict, materialize, type MaterializeOptions } from "./materialize.ts";
import type { Rngs } from "./rngs.ts";
import { Weight, type WeightKind } from "./weight.ts";

export type NameFilter = string | RegExp | ((name: string) => boolean);

export abstract class Module {
  #training = false;
  readonly #mode = structureSwitch();
  #rngs: Rngs | undefined;
  #label = "";
  /** Where the model was loaded from: a directory, or another name of its files. Adapters name it as their base. */
  origin: string | undefined;
  /** The revision of it that was asked for, where it is a model of the hub. */
  originRevision: string | undefined;
  /** Whether its vocabulary is another one than there: adapters take its tables along. */
  resized = false;

  /** What is true of all models like this one; undefined for modules of no known family. */
  get family(): FamilyFacts | undefined {
    return undefined;
  }

  get training(): boolean {
    return this.#training;
  }

  set training(on: boolean) {
    if (on !== this.#training) structureSwitched(this.#mode);
    this.#training = on;
  }

  /** What dropout draws its masks from; set on the whole tree by `train`. */
  get rngs(): Rngs | undefined {
    return this.#rngs;
  }

  set rngs(rngs: Rngs | undefined) {
    if (rngs !== this.#rngs) structureChanged();
    this.#rngs = rngs;
  }

  /** Direct children, by property name; lists give `name.index`. */
  *children(): Generator<[string, Module]> {
    for (const [name, value] of Object.entries(this) as [string, unknown][]) {
      if (value instanceof Module) yield [name, value];
      else if (Array.isArray(value) && value[0] instanceof Module)
        for (const [i, item] of (value as Module[]).entries()) yield [`${name}.${i}`, item];
    }
  }

  /** Every module with its dotted path; the root has path "". */
  *namedModules(prefix = ""): Generator<[string, Module]> {
    yield [prefix, this];
    for (const [name, child] of this.children()) yield* child.namedModules(prefix === "" ? name : `${prefix}.${name}`);
  }

  /** Every weight with its dotted name. Adapters override this to name theirs as PEFT does. */
  *namedWeights(prefix = ""): Generator<[string, Weight]> {
    yield* this.ownWeights(prefix);
    for (const [name, child] of this.children()) yield* child.namedWeights(prefix === "" ? name : `${prefix}.${name}`);
  }

  protected *ownWeights(prefix: string): Generator<[string, Weight]> {
    for (const [name, value] of Object.entries(this) as [string, unknown][]) {
      if (!(value instanceof Weight)) continue;
      value.kind = this.weightKind ?? (name === "bias" ? "bias" : undefined);
      yield [prefix === "" ? name : `${prefix}.${name}`, value];
    }
  }

  /** What all weights of this module are, if they are one thing. */
  protected get weightKind(): WeightKind {
    return undefined;
  }

  weights(): Weight[] {
    return [...this.namedWeights()].map(([, w]) => w);
  }
  trainableWeights(): Weight[] {
    return this.weights().filter((w) => w.trainable);
  }

  getModule(path: string): Module {
    for (const [name, module] of this.namedModules()) if (name === path) return module;
    throw new LowrankError(
      "NameError",
      `there is no module "${path}"; near it: ${nearest(
        path,
        [...this.namedModules()].map(([n]) => n),
      ).join(", ")}`,
    );
  }

  /** Puts another module in the place of the one at `path`: the only way that compiled functions notice, since a property that is assigned tells nobody. */
  setModule(path: string, replacement: Module): void {
    const dot = path.lastIndexOf(".");
    const last = path.slice(dot + 1);
    const parent = dot < 0 ? (this as Module) : this.#holder(path.slice(0, dot), last);
    if (Array.isArray(parent)) parent[Number(last)] = replacement;
    else (parent as unknown as Record<string, Module>)[last] = replacement;
    replacement.#label = last;
    structureChanged();
  }

  #holder(path: string, last: string): Module | Module[] {
    if (!/^\d+$/.test(last)) return this.getModule(path);
    const dot = path.lastIndexOf(".");
    const owner = dot < 0 ? (this as Module) : this.getModule(path.slice(0, dot));
    return (owner as unknown as Record<string, Module[]>)[path.slice(dot + 1)]!;
  }

  /** Turns on dropout in the whole tree, with masks drawn from `rngs`. */
  train(rngs?: Rngs): this {
    for (const [, m] of this.namedModules()) {
      m.training = true;
      m.rngs = rngs;
    }
    return this;
  }

  /** Turns dropout off in the whole tree. */
  eval(): this {
    for (const [, m] of this.namedModules()) m.training = false;
    return this;
  }

  /**
   * Weights whose name matches no longer train; all of them without a filter. A string matches whole parts of a dotted name, wherever they
   * stand; of a list each entry must match something.
   * @throws LowrankError (NameError) on a filter that matches no weight, with the nearest names
   */
  freeze(filter?: NameFilter | readonly NameFilter[]): this {
    return this.#setTrainable(filter, false);
  }
  unfreeze(filter?: NameFilter | readonly NameFilter[]): this {
    return this.#setTrainable(filter, true);
  }

  #setTrainable(filter: NameFilter | readonly NameFilter[] | undefined, trainable: boolean): this {
    const weights = [...this.namedWeights()];
    const filters: readonly NameFilter[] =
      filter === undefined
        ? [() => true]
        : Array.isArray(filter)
          ? (filter as readonly NameFilter[])
          : [filter as NameFilter];
    // all of them first, so that a filter that matches nothing changes nothing
    const chosen = filters.map((one) => weights.filter(([name]) => matches(one, name)));
    const idle = filters[chosen.findIndex((hits) => hits.length === 0)];
    if (idle !== undefined) {
      const near =
        typeof idle === "string"
          ? `; near it: ${nearest(
              idle,
              weights.map(([name]) => name),
            ).join(", ")}`
          : "";
      throw new LowrankError(
        "NameError",
        `${trainable ? "unfreeze" : "freeze"}: ${typeof idle === "string" ? idle : typeof idle === "function" ? "the filter" : String(idle)} matches no weight${near}`,
      );
    }
    for (const [, weight] of chosen.flat()) weight.trainable = trainable;
    return this;
  }

  /**
   * Gives every weight that has none its memory: stored values where there are any, fresh ones otherwise.
   * @returns the names that were drawn fresh
   * @throws LowrankError: NumericsError on a stored value that a weight's narrower dtype cannot hold
   */
  materialize(options: MaterializeOptions): Promise<{ fresh: string[] }> {
    this.labelTree();
    return materialize(this.namedWeights(), options);
  }

  /** Tells each module its name, for scopes in error messages and profiles. */
  labelTree(): void {
    for (const [name, child] of this.children()) {
      child.#label = name;
      child.labelTree();
    }
  }

  /** Runs `body` under this module's name. */
  protected scoped<T>(body: () => T): T {
    return withScope(this.#label, body);
  }

  /** Values of all weights, by name, as they are stored now. */
  async stateDict(filter: (name: string, weight: Weight) => boolean = () => true): Promise<Map<string, StoredTensor>> {
    const out = new Map<string, StoredTensor>();
    const seen = new Set<Weight>();
    for (const [name, weight] of this.namedWeights()) {
      if (seen.has(weight) || !filter(name, weight)) continue;
      seen.add(weight);
      out.set(name, await weight.read());
    }
    return out;
  }

  /**
   * Writes stored values into weights that have memory. Returns names that did not meet.
   * @throws LowrankError (NumericsError) on a value that a weight's narrower dtype cannot hold
   */
  loadStateDict(
    values: ReadonlyMap<string, StoredTensor>,
    options: { strict?: boolean } = {},
  ): { missing: string[]; unexpected: string[] } {
    return loadStateDict(new Map(this.namedWeights()), values, options);
  }

  dispose(): void {
    for (const weight of new Set(this.weights())) weight.dispose();
  }
}

function matches(filter: NameFilter, name: string): boolean {
  if (typeof filter === "function") return filter(name);
  if (filter instanceof RegExp) return name.search(filter) >= 0;
  return `.${name}.`.includes(`.${filter}.`);
}

/** Names that share the longest run of letters with `wanted`; for error messages. */
export function nearest(wanted: string, names: readonly string[], count = 3): string[] {
  const parts = new Set(wanted.toLowerCase().split(/[._]/));
  const score = (n: string): number =>
    n
      .toLowerCase()
      .split(/[._]/)
      .filter((p) => parts.has(p)).length -
    Math.abs(n.length - wanted.length) / 100;
  return [...names]
    .filter((n) => n !== "")
    .sort((a, b) => score(b) - score(a))
    .slice(0, count);
}
