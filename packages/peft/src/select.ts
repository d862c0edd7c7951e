/** Which modules an adapter touches and with what rank: PEFT's rules to the letter, except that a pattern which matches nothing is an error. */
import { Embedding, nearest, Projection, type Module } from "@lowrank/nn";
import { targetsOf, type Target } from "./layers/walk.ts";
import { LowrankError } from "@lowrank/tensor";
import { evenAlpha, type LoraConfig } from "./config.ts";

/** One line of the resolved table. */
export interface TargetRow {
  readonly module: string;
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly rank: number;
  readonly alpha: number;
  readonly scale: number;
  /** Trained values: rank · (in + out), and what the method adds. */
  readonly parameters: number;
}

function sizeOfTarget(target: Target): { inFeatures: number; outFeatures: number } {
  if (target instanceof Projection) return { inFeatures: target.inFeatures, outFeatures: target.outFeatures };
  const [inFeatures, outFeatures] = target.weight.shape as [number, number];
  return { inFeatures, outFeatures };
}

/** PEFT's default targets by the attention names an architecture has. */
const DEFAULT_TARGETS = [["query", "value"], ["c_attn"], ["q_proj", "v_proj"]] as const;

/** A Python regular expression that must match the whole path. */
function fullMatch(pattern: string, path: string): boolean {
  return regex(`^(?:${pattern})$`, pattern).test(path);
}

function regex(text: string, shown: string): RegExp {
  try {
    return new RegExp(text);
  } catch (cause) {
    throw new LowrankError("ConfigError", `"${shown}" is not a regular expression: ${(cause as Error).message}`, { cause });
  }
}

/** A list matches names or dotted suffixes; a string is a regular expression for the whole path. */
function named(rule: readonly string[] | string, path: string): boolean {
  return typeof rule === "string" ? fullMatch(rule, path) : rule.some((t) => path === t || path.endsWith(`.${t}`));
}

/** The rank_pattern rule: the first key that, as a regular expression, matches the path's end at a dot. */
export function lookUpPattern(pattern: Readonly<Record<string, number>>, path: string): string | undefined {
  return Object.keys(pattern).find((key) => regex(`^(.*\\.)?(${key})$`, key).test(path));
}

function underSaved(config: LoraConfig, path: string): boolean {
  return config.modulesToSave.some((name) => path.split(".").some((_, i, parts) => {
    const head = parts.slice(0, i + 1).join(".");
    return head === name || head.endsWith(`.${name}`);
  }));
}

function inWantedLayer(config: LoraConfig, path: string): boolean {
  if (config.layersToTransform === undefined) return true;
  const patterns = config.layersPattern ?? [""];
  for (const pattern of patterns) {
    const found = pattern === "" ? /.*?\.(\d+)\./.exec(path) : regex(`.*?\\.${pattern}\\.(\\d+)\\.`, pattern).exec(path);
    if (found !== null) return config.layersToTransform.includes(Number(found[1]));
  }
  return false;
}

/** Resolves a config against a model. The table is a value: print it, save it, assert it. */
export function resolveTargets(model: Module, config: LoraConfig): TargetRow[] {
  const all = targetsOf(model);
  const paths = all.map(([path]) => path);
  const rule = config.targetModules ?? DEFAULT_TARGETS.find((names) => paths.some((p) => named([...names], p))) ?? [];
  const chosen = all.filter(([path, module]) => {
    if (underSaved(config, path) || (config.excludeModules !== undefined && named(config.excludeModules, path))) return false;
    const wanted = rule === "all-linear" ? module instanceof Projection && !isOutputLayer(path) : named(rule, path);
    return wanted && inWantedLayer(config, path);
  });
  if (chosen.length === 0) {
    const wanted = typeof rule === "string" ? rule : rule.join(", ");
    throw new LowrankError("PatternError", `LoRA: target modules "${wanted}" match nothing; the model has ${[...new Set(paths.map((p) => p.split(".").at(-1)))].join(", ")}${typeof rule === "string" ? ` (a string is a regular expression for the whole path, such as ${paths[0]})` : ""}`);
  }
  const unread = chosen.find(([path, target]) => target instanceof Embedding && READ_DIRECTLY.test(path));
  if (unread !== undefined) throw new LowrankError("PatternError", `LoRA: ${unread[0]} cannot take an adapter: models slice this table and never call the module, so the adapter would have no effect`);
  checkPatterns("rank_pattern", config.rankPattern, chosen.map(([p]) => p), config);
  checkPatterns("alpha_pattern", config.alphaPattern, chosen.map(([p]) => p), config);
  return chosen.map(([module, target]) => {
    const { inFeatures, outFeatures } = sizeOfTarget(target);
    const rankKey = lookUpPattern(config.rankPattern, module);
    const alphaKey = lookUpPattern(config.alphaPattern, module);
    const rank = config.adaLora !== undefined ? maskedRank(config, module) : rankKey === undefined ? config.r : config.rankPattern[rankKey]!;
    const usual = config.alphaMode === "constantScaling" && config.adaLora === undefined ? evenAlpha(config, rank) : config.alpha;
    const alpha = alphaKey === undefined ? usual : config.alphaPattern[alphaKey]!;
    const scale = config.adaLora !== undefined ? (alpha > 0 ? alpha : config.adaLora.initR) / (config.adaLora.initR + 1e-5) : alpha / (config.rsLora ? Math.sqrt(rank) : rank);
    const extra = (config.adaLora !== undefined ? rank : 0) + (config.dora ? outFeatures : 0) + (config.loraBias ? outFeatures : 0);
    return { module, inFeatures, outFeatures, rank, alpha, scale, parameters: rank * (inFeatures + outFeatures) + extra };
  });
}

/** Kept ranks of a finished adapter, the initial rank otherwise. */
function maskedRank({ adaLora }: LoraConfig, module: string): number {
  return adaLora!.rankMask?.[`${module}.lora_E`]?.filter(Boolean).length ?? adaLora!.initR;
}

/** Tables whose rows models slice instead of looking them up. */
const READ_DIRECTLY = /(^|\.)(position_embeddings|token_type_embeddings|wpe)$/;

/** all-linear leaves the output layer alone. */
function isOutputLayer(path: string): boolean {
  return /(^|\.)(classifier|score|lm_head|qa_outputs|decoder)$/.test(path);
}

function checkPatterns(what: string, pattern: Readonly<Record<string, number>>, paths: readonly string[], config: LoraConfig): void {
  const used = new Set(paths.map((p) => lookUpPattern(pattern, p)));
  const idle = Object.keys(pattern).filter((key) => !used.has(key));
  if (idle.length === 0 || config.onUnmatchedPattern === "warn") return;
  const key = idle[0]!;
  const shadowed = paths.some((p) => regex(`^(.*\\.)?(${key})$`, key).test(p));
  throw new LowrankError("PatternError", `LoRA: ${what} "${key}" ${shadowed ? "only matches modules that an earlier key takes; put it first" : `matches no target module; a key is the end of a path at a dot, such as ${nearest(key, paths).map((p) => `"${p.split(".").slice(-3).join(".")}"`).join(", ")}`}`);
}
