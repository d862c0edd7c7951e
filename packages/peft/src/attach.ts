/** Putting an adapter on a model: everything that can fail is planned first, then layers are wrapped and everything else is frozen. */
import { Embedding, type Module, type Projection } from "@lowrank/nn";
import { LowrankError, quote } from "@lowrank/tensor";
import { checkOptions, fields, optional, text } from "@lowrank/tensor/check";
import { Adapter, register } from "./adapter.ts";
import { AdaptedEmbedding } from "./layers/adapted-embedding.ts";
import { AdaptedProjection } from "./layers/adapted-projection.ts";
import { TokenRows } from "./layers/token-rows.ts";
import type { Update } from "./layers/update.ts";
import { copiesOf, isLayer, layersOf, sharerOf, type Layer } from "./layers/walk.ts";
import type { AdapterConfig, Method, OptionsOf } from "./methods/method.ts";
import { adapterConfig, type AdapterOptions } from "./methods/registry.ts";
import { MEMORY, type Memory } from "./memory.ts";
import { emptyCopy, leavesOf, SavedCopy } from "./saved-copy.ts";
import { select } from "./select.ts";
import { snapshot } from "./snapshot.ts";
import { followersOf, type TokenPlace } from "./tokens.ts";

/** Where and how an adapter gets its memory. */
export interface AdaptOptions extends Memory {
  /** Default "default". */
  readonly name?: string;
}

/** Options of a method given as a record. */
export type OptionsFor<C extends AdapterConfig> = OptionsOf<C> & { readonly method: Method<C> };

const ADAPT_RULES = fields<AdaptOptions>({ ...MEMORY, name: optional(text) });

/**
 * Attaches an adapter to a model, structure only: works on models without memory. It becomes the active one; everything else is frozen.
 * @throws LowrankError naming the option or the module; the model is then as it was
 */
export function attach(model: Module, options: AdapterOptions, name?: string): Adapter;
export function attach<C extends AdapterConfig>(model: Module, options: OptionsFor<C>, name?: string): Adapter;
export function attach(model: Module, options: AdapterOptions, name = "default"): Adapter {
  return install(plan(model, options, name));
}

/** Attaches an adapter to a model in memory. Where its start is refused, the model is as it was. */
export async function adapt(model: Module, options: AdapterOptions, where: AdaptOptions): Promise<Adapter>;
export async function adapt<C extends AdapterConfig>(
  model: Module,
  options: OptionsFor<C>,
  where: AdaptOptions,
): Promise<Adapter>;
export async function adapt(model: Module, options: AdapterOptions, where: AdaptOptions): Promise<Adapter> {
  const { name, ...memory } = checkOptions("adapt", ADAPT_RULES, where);
  const adapter = plan(model, options, name ?? "default");
  await filled(adapter, () => adapter.materialize(memory));
  return adapter;
}

/** Installs a planned adapter and fills it; where that fails, the model is as it was. */
export async function filled(adapter: Adapter, fill: () => Promise<void>): Promise<void> {
  const restore = snapshot(adapter.model);
  install(adapter);
  try {
    await fill();
  } catch (error) {
    await adapter.delete();
    await restore();
    throw error;
  }
}

/** An adapter with its layers, which does not stand in the model yet. */
export function plan(model: Module, options: AdapterOptions, name: string): Adapter {
  if (typeof name !== "string" || !/^[\w-]+$/.test(name))
    throw new LowrankError(
      "AdapterError",
      `${quote(name)} is no name for an adapter; letters, digits, "_" and "-" are`,
    );
  const { rows, config, saved, tokens, warnings } = select(model, adapterConfig(options));
  const make = config.method.make(config, rows);
  const sites = new Map<string, Layer>();
  const updates = new Map<string, Update>();
  for (const row of rows) {
    const before = model.getModule(row.module);
    if (before instanceof SavedCopy)
      throw new LowrankError(
        "AdapterError",
        `${row.module} is trained whole by adapter ${[...before.copies.keys()].join(", ")} (modules_to_save); leave it out of the target modules, or delete that adapter`,
      );
    const layer = layerFor(row.module, before, name);
    sites.set(row.module, layer);
    const update = make(row, layer);
    requireSameKind(row.module, layer, update);
    updates.set(row.module, update);
  }
  const rowsOf = new Map<string, TokenPlace>();
  for (const { path, indices } of tokens) {
    const before = model.getModule(path);
    if (before instanceof SavedCopy)
      throw new LowrankError(
        "AdapterError",
        `trainable_token_indices: ${path} is trained whole by adapter ${[...before.copies.keys()].join(", ")} (modules_to_save); delete that adapter`,
      );
    const layer = layerFor(path, before, name);
    const table = layer instanceof AdaptedEmbedding;
    const update = new TokenRows(layer.site, indices, table);
    requireSameKind(path, layer, update);
    rowsOf.set(path, { layer, update, followers: table ? followersOf(model, path, layer) : new Map() });
  }
  requireOneWithBiases(model, config);
  if (register(model).has(name))
    throw new LowrankError(
      "AdapterError",
      `there is an adapter "${name}" on this model already; give this one another name`,
    );
  const copies = new Map<string, SavedCopy>();
  for (const [path, place] of saved.flatMap((at) => leavesOf(at, model.getModule(at)))) {
    if (isLayer(place))
      throw new LowrankError(
        "AdapterError",
        `modules_to_save takes ${path} whole, which carries adapter ${[...place.updates.keys()].join(", ")}; leave it out, or delete that adapter`,
      );
    requireOwnReaders(model, path, place);
    const copy = place instanceof SavedCopy ? place : new SavedCopy(place);
    if (copy.copies.has(name))
      throw new LowrankError(
        "AdapterError",
        `there is an adapter "${name}" on ${path} already; give this one another name`,
      );
    copies.set(path, copy);
  }
  const own = new Map([...copies].map(([path, { original }]) => [path, emptyCopy(path, original)]));
  return new Adapter({
    model,
    name,
    config,
    table: rows,
    sites,
    updates,
    tokens: rowsOf,
    saved: copies,
    copies: own,
    warnings: [...warnings, ...biasesOfOthers(model)],
  });
}

/** The layer that stands, or is to stand, in the place of a module. */
function layerFor(path: string, before: Module, name: string): Layer {
  const layer = isLayer(before)
    ? before
    : before instanceof Embedding
      ? new AdaptedEmbedding(before)
      : new AdaptedProjection(before as Projection);
  if (layer.updates.has(name))
    throw new LowrankError(
      "AdapterError",
      `there is an adapter "${name}" on ${path} already; give this one another name`,
    );
  return layer;
}

/** What scales and what adds would depend on their order on a layer; PEFT has one method a model. */
function requireSameKind(path: string, { updates }: Layer, update: Update): void {
  for (const [name, other] of updates)
    if ((other.lowRank === undefined) !== (update.lowRank === undefined))
      throw new LowrankError(
        "AdapterError",
        `${path} carries adapter ${name}, which is ${other.kind}, and ${update.kind} on the same layer would depend on their order; delete one of the two, or leave ${path} out`,
      );
}

/** An output layer that takes its weight from the table whenever it computes would compute with the copy; PEFT leaves it the original. */
function requireOwnReaders(model: Module, path: string, place: Module): void {
  const { tied } = model as { tied?: ReadonlyMap<string, string> };
  if (
    place instanceof Embedding &&
    tied?.has(`${path}.weight`) === true &&
    sharerOf(model, path, place.weight) === undefined
  ) {
    throw new LowrankError(
      "NotBuiltError",
      `modules_to_save: ${path} is also the weight of ${tied.get(`${path}.weight`)}, which PEFT leaves as it was and this model cannot; leave ${path} out, or untie the two`,
    );
  }
}

/** Biases are the base's: an adapter that trains them changes every other. */
function requireOneWithBiases(model: Module, { bias }: AdapterConfig): void {
  const [other] = register(model).keys();
  if (bias !== "none" && other !== undefined)
    throw new LowrankError(
      "AdapterError",
      `bias "${bias}" trains biases of the base, which adapter ${other} on this model computes with too; as in PEFT only a model's first adapter may: set bias to "none", or delete ${other}`,
    );
}

function biasesOfOthers(model: Module): string[] {
  return [...register(model).values()].flatMap(({ name, config: { bias } }) =>
    bias === "none"
      ? []
      : [
          `adapter ${name} trains biases of the base (bias "${bias}"), which this one computes with and its file will not hold`,
        ],
  );
}

/** Puts a planned adapter into its model. */
function install(adapter: Adapter): Adapter {
  const { model, name, saved } = adapter;
  model.freeze();
  // the others rest everywhere, also where this one has no layer
  for (const [, { adapters }] of layersOf(model)) if (!adapters.final) adapters.activate([]);
  for (const [, copy] of copiesOf(model)) copy.active = [];
  for (const [path, layer, update] of adapter.everywhere()) {
    layer.adapters.add(name, update);
    layer.adapters.activate([name]);
    if (model.getModule(path) !== layer) model.setModule(path, layer);
  }
  for (const { followers } of adapter.tokens.values())
    for (const [path, follower] of followers) if (model.getModule(path) !== follower) model.setModule(path, follower);
  for (const [path, copy] of saved) {
    copy.copies.set(name, adapter.copies.get(path)! as never);
    copy.active = [name];
    if (model.getModule(path) !== copy) model.setModule(path, copy);
  }
  for (const weight of adapter.biases()) weight.trainable = true;
  model.labelTree();
  register(model).set(name, adapter);
  return adapter;
}
