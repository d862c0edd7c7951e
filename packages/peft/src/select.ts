/** Which modules an adapter touches and with what rank: PEFT's rules to the letter, and nothing that is named is passed over in silence. */
import { Embedding, endsAtDot, endsIn, Projection, type Module } from "@lowrank/nn";
import { LowrankError, quote } from "@lowrank/tensor";
import { strangeKeys } from "./config-file.ts";
import { defaultTargets, modelTypeOf, taskHeads } from "./default-targets.ts";
import { placesOf, targetsOf, type Target } from "./layers/walk.ts";
import { isAllLinear } from "./methods/common.ts";
import type { AdapterConfig, TargetRow } from "./methods/method.ts";
import { layerNumbers, matcherOf, patternKeys, savedMatcher, Unmatched } from "./names.ts";
import { tokenTargets, type TokenTarget } from "./tokens.ts";

/** What a configuration comes to on a model. */
export interface Selection {
  readonly rows: readonly TargetRow[];
  /** The configuration with the targets spelt out, as PEFT writes them into a file. */
  readonly config: AdapterConfig;
  /** Paths of the modules that are trained whole. */
  readonly saved: readonly string[];
  /** Tables of which some rows are trained. */
  readonly tokens: readonly TokenTarget[];
  /** Names of the configuration that match nothing, where that is no error. */
  readonly warnings: readonly string[];
}

function sizeOfTarget(target: Target): { inFeatures: number; outFeatures: number } {
  if (target instanceof Projection) return { inFeatures: target.inFeatures, outFeatures: target.outFeatures };
  const [inFeatures, outFeatures] = target.weight.shape as [number, number];
  return { inFeatures, outFeatures };
}

/** The rank_pattern rule: the first key that, as a regular expression, matches the path's end at a dot. */
export function lookUpPattern(pattern: Readonly<Record<string, number>>, path: string): string | undefined {
  return patternKeys(pattern, "pattern").first(path);
}

/** Resolves a config against a model. The table is a value: print it, save it, assert it. */
export function resolveTargets(model: Module, config: AdapterConfig): TargetRow[] {
  return [...select(model, config).rows];
}

/** @throws LowrankError (PatternError) on a name that matches nothing, where the config does not say `warn`, and where no target is left */
export function select(model: Module, given: AdapterConfig): Selection {
  // an output layer may have its weight in the table; a copy of it is its own
  const modules = placesOf(model, () => true).flatMap(([path, module]) =>
    module.weights().length > 0 || module instanceof Projection ? [path] : [],
  );
  const heads = taskHeads(model, given, modules);
  const config: AdapterConfig = { ...given, modulesToSave: [...new Set([...given.modulesToSave, ...heads])] };
  const all = targetsOf(model);
  const paths = all.map(([path]) => path);
  const unmatched = new Unmatched(config.method.label, config.onUnmatchedPattern);
  const { targetModules: wanted } = config;
  const rule = isAllLinear(wanted)
    ? all.flatMap(([path, module]) =>
        module instanceof Projection && !endsIn(path, model.family?.outputEmbeddings ?? []) ? [path] : [],
      )
    : (wanted ?? defaultTargets(model, config.method, paths));
  const chosen = choose(model, all, rule, config, unmatched);
  if (typeof wanted === "object")
    for (const name of wanted)
      if (!paths.some((path) => endsAtDot(path, name))) unmatched.name("target_modules", name, paths);
  checkExclusions(config, paths, unmatched);
  const saved = chooseSaved(modules, config.modulesToSave, heads, unmatched);
  const both = chosen.find(([path]) => saved.some((other) => path === other || path.startsWith(`${other}.`)));
  if (both !== undefined)
    throw new LowrankError(
      "AdapterError",
      `modules_to_save takes ${both[0]} whole (names match the end of a path, at a dot or not, as in PEFT), and it is a target module too; exclude it from the targets`,
    );
  const tokens = tokenTargets(model, config, all, unmatched);
  const whole = tokens.find(({ path }) => saved.includes(path) || chosen.some(([other]) => other === path));
  if (whole !== undefined)
    throw new LowrankError(
      "AdapterError",
      `trainable_token_indices names rows of ${whole.path}, which ${saved.includes(whole.path) ? "modules_to_save takes whole" : "is a target module too"}; leave it out of one of the two`,
    );
  const { method } = config;
  const named: AdapterConfig = { ...config, targetModules: rule };
  const targets = chosen.map(([path, target]) => ({ path, target, ...sizeOfTarget(target) }));
  const resolved = method.completed?.(named, model, targets, unmatched) ?? named;
  const rows = method.resolve(targets, resolved, unmatched);
  const idle = (method.idle?.(config) ?? []).map((what) => `${what}; it is ignored, as in PEFT`);
  const strange = Object.keys(config.source).length === 0 ? [] : strangeKeys(method, config.source);
  return { rows, saved, tokens, config: resolved, warnings: [...strange, ...idle, ...unmatched.warnings] };
}

/** Targets that are wanted, not excluded, not trained whole and in a wanted layer. */
function choose(
  model: Module,
  all: readonly [string, Target][],
  rule: readonly string[] | string,
  config: AdapterConfig,
  unmatched: Unmatched,
): [string, Target][] {
  const { label } = config.method;
  const [isWanted, isSaved, layerOf] = [
    matcherOf(rule, label, "target_modules"),
    savedMatcher(config.modulesToSave),
    layerNumbers(config.layersPattern),
  ];
  const isExcluded =
    config.excludeModules === undefined ? () => false : matcherOf(config.excludeModules, label, "exclude_modules");
  const named = all.filter(([path]) => isWanted(path));
  const layers = config.layersToTransform;
  const chosen = named.filter(
    ([path]) => !isSaved(path) && !isExcluded(path) && (layers === undefined || layers.includes(layerOf(path) ?? -1)),
  );
  if (chosen.length === 0) {
    const paths = all.map(([path]) => path);
    const said = typeof rule === "string" ? rule : rule.join(", ");
    const why =
      named.length > 0
        ? "match nothing that may be adapted: all they name is excluded, trained whole or in other layers"
        : `match nothing; the model has ${[...new Set(paths.map((p) => p.split(".").at(-1)))].join(", ")}${typeof rule === "string" ? ` (a string is a regular expression for the whole path, such as ${paths[0]})` : ""}`;
    const what =
      config.targetModules === undefined
        ? `no target modules are given, and PEFT's defaults for ${modelTypeOf(model) === undefined ? "models that say no type" : `model type "${modelTypeOf(model)}"`} (${said || "none"})`
        : `target modules ${quote(said)}`;
    throw new LowrankError("PatternError", `${label}: ${what} ${why}`);
  }
  const sliced = model.family?.slicedTables ?? [];
  const unread = chosen.find(([path, target]) => target instanceof Embedding && endsIn(path, sliced));
  if (unread !== undefined)
    throw new LowrankError(
      "PatternError",
      `${label}: ${unread[0]} cannot take an adapter: models slice this table and never call the module, so the adapter would have no effect`,
    );
  const numbers = new Set(named.map(([path]) => layerOf(path)));
  for (const layer of layers ?? [])
    if (!numbers.has(layer))
      unmatched.say(
        `layers_to_transform ${layer} matches nothing; the targets lie in layers ${[...numbers].filter((n) => n !== undefined).join(", ")}`,
      );
  for (const name of config.layersPattern ?? []) {
    const alone = layerNumbers([name]);
    if (!named.some(([path]) => alone(path) !== undefined))
      unmatched.name(
        "layers_pattern",
        name,
        named.map(([path]) => path.replace(/\.\d+\..*$/, "")),
      );
  }
  return chosen;
}

function checkExclusions(
  { excludeModules: rule, method }: AdapterConfig,
  paths: readonly string[],
  unmatched: Unmatched,
): void {
  if (rule === undefined) return;
  if (typeof rule !== "string") {
    for (const name of rule)
      if (!paths.some((path) => endsAtDot(path, name))) unmatched.name("exclude_modules", name, paths);
  } else if (!paths.some(matcherOf(rule, method.label, "exclude_modules")))
    unmatched.say(
      `exclude_modules ${quote(rule)} matches nothing; a string is a regular expression for the whole path, such as ${paths[0]}`,
    );
}

/** Paths that end in a name of `modules_to_save`, at a dot or not. Names that the task brings need not match. */
function chooseSaved(
  modules: readonly string[],
  names: readonly string[],
  heads: readonly string[],
  unmatched: Unmatched,
): string[] {
  const found = new Set<string>();
  for (const name of names) {
    const hits = modules.filter((path) => path.endsWith(name));
    for (const path of hits) found.add(path);
    if (hits.length === 0 && !heads.includes(name)) unmatched.name("modules_to_save", name, modules);
  }
  return [...found];
}
