/** Low-rank adapters (Hu et al. 2021) and, with `dora`, magnitude and direction apart (Liu et al. 2024). Names and meaning as in PEFT's LoraConfig. */
import { loraPlusScales } from "@lowrank/peft";
import { quote } from "@lowrank/tensor";
import { z } from "zod";
import { deciding, listed } from "../allocators/deciding.ts";
import { allocators } from "../allocators/registry.ts";
import type { LinearShape } from "../bases/shape.ts";
import { count, positive } from "../config/numbers.ts";
import { InputError, RunError } from "../errors.ts";
import type { Method, TrainedFacts } from "../records/method.ts";
import type { ModuleRow, Proof } from "../store/result.ts";
import { adapterMethod, type AdapterMethodConfig } from "./adapter.ts";
import { evaStart } from "./eva.ts";
import { goraStart } from "./gora.ts";
import { LORA_RATES } from "./rates.ts";
import { patternValue } from "./rules.ts";
import { sharedStart } from "./shares.ts";
import { numerics, scaled, train } from "./words.ts";

export interface LoraMethod extends AdapterMethodConfig {
  readonly method: "lora";
  readonly alpha: number;
  readonly dropout: number;
  readonly r: number;
  /** Magnitude and direction apart (DoRA). */
  readonly dora: boolean;
  readonly rankPattern: Readonly<Record<string, number>>;
  readonly alphaPattern: Readonly<Record<string, number>>;
  readonly rsLora: boolean;
  /** What shares ranks out before training, as many as `r` and `rankPattern` give in all; each module keeps its scale. Absent: ranks are as they say. */
  readonly allocator?: string | undefined;
  /** How A and B begin, in PEFT's words; absent: A drawn, B 0. `eva` and `gora` look at the training data, `loftq` at what NF4 loses. */
  readonly init?: (typeof STARTS)[number] | undefined;
  /** Of `eva`: how many times its rank a module may get. Absent: 2. */
  readonly rho?: number | undefined;
  /** Of `gora`: the size of the step along the gradient. Absent: 0.05. */
  readonly goraStep?: number | undefined;
  /** Of `loftq`: how often base and product follow one another. Absent: 1. */
  readonly loftqIterations?: number | undefined;
  /** LoRA+: how many times faster B learns than A. */
  readonly loraPlus?: number | undefined;
}

const tokens = z.array(z.int().min(0)).min(1);

const STARTS = ["gaussian", "orthogonal", "pissa", "olora", "eva", "loftq", "gora"] as const;

export const lora: Method<LoraMethod> = adapterMethod<LoraMethod>({
  name: "lora",
  label: "LoRA",
  rates: LORA_RATES,
  // the first match wins
  ordered: ["rankPattern", "alphaPattern"],
  schema: (facts) =>
    z.strictObject({
      method: z.literal("lora"),
      r: count.default(8),
      ...scaled(facts),
      ...numerics,
      dora: z.boolean().default(false),
      rankPattern: z.record(z.string(), count).default({}),
      alphaPattern: z.record(z.string(), positive).default({}),
      rsLora: z.boolean().default(false),
      allocator: z.enum(deciding("share"), { error: `expected ${listed(deciding("share"))}` }).optional(),
      init: z.enum(STARTS).optional(),
      rho: z.number().min(1).optional(),
      goraStep: positive.optional(),
      loftqIterations: count.optional(),
      trainableTokenIndices: z.union([tokens, z.record(z.string(), tokens)]).optional(),
      loraPlus: z.number().min(1, { error: "expected at least 1: B learns faster than A" }).optional(),
      train,
    }),
  withRanks,
  check({ init, rho, goraStep, loftqIterations, storage, dora, from, rankPattern, allocator, ...options }, at) {
    const shares = allocator ?? (init === "eva" || init === "gora" ? init : undefined);
    if (allocator !== undefined && from !== undefined)
      return `"${at}.from" brings ranks, and "allocator" is ${allocator}, which shares them out; leave one of them out`;
    if (allocator !== undefined && (init === "eva" || init === "gora"))
      return `"${at}.init" is ${init}, which shares ranks out, and so does "allocator" ${allocator}; leave one of them out`;
    if (from !== undefined && Object.keys(rankPattern).length > 0)
      return `"${at}.from" brings the ranks that "${at}.rankPattern" says; leave one of them out`;
    if (from !== undefined && (init === "eva" || init === "gora"))
      return `"${at}.from" brings ranks, and "init" is ${init}, which shares them out; leave one of them out`;
    if (goraStep !== undefined && init !== "gora")
      return `"${at}.goraStep" is for init: gora, which begins with a step along the gradient; leave it out`;
    if (rho !== undefined && init !== "eva")
      return `"${at}.rho" is for init: eva, which shares ranks out; leave it out`;
    if ((init === "pissa" || init === "olora") && storage !== "f32")
      return `"${at}.init" is ${init}, which writes what is left over into the base, and "storage" is ${storage}; it needs f32`;
    if (loftqIterations !== undefined && init !== "loftq")
      return `"${at}.loftqIterations" is for init: loftq, which takes turns with quantization; leave it out`;
    if (init === "loftq" && storage !== "nf4")
      return `"${at}.init" is loftq, which makes up for what four bits lose, and "storage" is ${storage}; it needs nf4`;
    if (init === "loftq" && scaleOf(options, options.alpha, options.r) !== 1)
      return `"${at}.init" is loftq, whose product allows for no scale (PEFT's neither), and that of alpha ${options.alpha} and r ${options.r} is ${scaleOf(options, options.alpha, options.r)}; set alpha to r`;
    if (shares !== undefined && dora)
      return `"${at}.${allocator === undefined ? "init" : "allocator"}" is ${shares}, and "dora" is on: magnitudes belong to ranks that are not known yet; leave one of them out`;
    return undefined;
  },
  words(
    {
      r,
      alpha,
      dropout,
      exclude,
      rankPattern,
      alphaPattern,
      rsLora,
      dora,
      init,
      loftqIterations,
      trainableTokenIndices,
    },
    common,
  ) {
    return {
      ...common,
      r,
      alpha,
      dropout,
      excludeModules: exclude,
      rankPattern,
      alphaPattern,
      rsLora,
      dora,
      // directions, and what gradients are compressed to, are written over what was drawn
      ...(init === undefined || init === "eva" || init === "gora" ? {} : { initLora: init }),
      ...(trainableTokenIndices === undefined ? {} : { trainableTokenIndices }),
      ...(loftqIterations === undefined ? {} : { loftq: { bits: 4, iterations: loftqIterations } }),
    };
  },
  async settle(base, options, context) {
    if (options.init === "eva") return evaStart(base, options, loraRows, context);
    if (options.init === "gora") return goraStart(base, options, loraRows, context);
    if (options.allocator === undefined) return undefined;
    return sharedStart(base, options, loraRows, allocators.get(options.allocator), context);
  },
  fromOriginal: ({ init }) => init === "loftq",
  lrScales: (adapter, { loraPlus }) =>
    // the rate is what embeddings' own is told from, and targets are linear layers
    loraPlus === undefined ? undefined : loraPlusScales(adapter, { ratio: loraPlus, lr: 1 }),
  ownProofs: loraPlusProof,
  rows: loraRows,
});

/**
 * Modules of rank 0 are left out; the others have their ranks by their whole paths, and the scale that they would have had: a scale that fell as the
 * rank rises would slow down the very modules that were given more.
 */
function withRanks(options: LoraMethod, ranks: ReadonlyMap<string, number>): LoraMethod {
  const left = [...ranks].filter(([, rank]) => rank === 0).map(([module]) => module);
  const kept = [...ranks].filter(([, rank]) => rank > 0);
  if (kept.length === 0) throw new RunError("every module was left without a rank; there is nothing to adapt");
  const { exclude = [] } = options;
  const without =
    typeof exclude === "string"
      ? [exclude, ...left.map(escaped)].map((part) => `(?:${part})`).join("|")
      : [...exclude, ...left];
  return {
    ...options,
    rankPattern: Object.fromEntries(kept.map(([module, rank]) => [escaped(module), rank])),
    alphaPattern: Object.fromEntries(
      kept.map(([module, rank]) => {
        const alpha = patternValue(options.alphaPattern, module, new Set()) ?? options.alpha;
        return [escaped(module), alpha * (options.rsLora ? Math.sqrt(rank / options.r) : rank / options.r)];
      }),
    ),
    ...(without.length === 0 ? {} : { exclude: without }),
  };
}

/** Of a path only its dots mean something in an expression. */
function escaped(path: string): string {
  return path.replaceAll(".", "\\.");
}

/** B of every module, and nothing but B and what has one dimension, learnt faster by the ratio. */
function loraPlusProof({ loraPlus = 1 }: LoraMethod, { lrScales }: TrainedFacts): Proof[] {
  const scaled = [...lrScales].filter(([, scale]) => scale !== 1);
  const second = [...lrScales].filter(([name]) => name.includes(".lora_B."));
  const holds =
    second.length > 0 &&
    second.every(([, scale]) => scale === loraPlus) &&
    scaled.every(([name, scale]) => scale === loraPlus && !name.includes(".lora_A."));
  return [{ name: "learning-rates", holds, detail: { ratio: loraPlus, ofB: second.length, scaled: scaled.length } }];
}

function scaleOf({ rsLora }: Pick<LoraMethod, "rsLora">, alpha: number, rank: number): number {
  return rsLora ? alpha / Math.sqrt(rank) : alpha / rank;
}

function loraRows(found: readonly LinearShape[], method: LoraMethod): ModuleRow[] {
  const used = new Set<string>();
  const rows = found.map((linear) => {
    const rank = patternValue(method.rankPattern, linear.path, used) ?? method.r;
    const alpha = patternValue(method.alphaPattern, linear.path, used) ?? method.alpha;
    const scale = scaleOf(method, alpha, rank);
    if (method.init === "loftq" && scale !== 1)
      throw new InputError(
        `init: loftq allows for no scale, and that of ${linear.path} is ${scale}; give it the same alpha as its rank, ${rank}`,
      );
    return {
      module: linear.path,
      in: linear.in,
      out: linear.out,
      rank,
      scale,
      parameters: rank * (linear.in + linear.out) + (method.dora ? linear.out : 0),
    };
  });
  for (const key of [...Object.keys(method.rankPattern), ...Object.keys(method.alphaPattern)]) {
    if (!used.has(key))
      throw new InputError(
        `pattern ${quote(key)} matches none of the adapted modules; a key must match the end of a path such as ${rows[0]!.module}`,
      );
  }
  return rows;
}
