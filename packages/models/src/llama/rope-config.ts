/**
 * Rotary options of a `config.json`: `rope_parameters` since transformers 5, before that `rope_theta` and `rope_scaling`, whose kind is
 * `rope_type` or, in the oldest, `type`. All that stand in one file must agree.
 */
import { LowrankError, quote } from "@lowrank/tensor";
import { checkFile, fields, flag, optional, positive, real, size, text, type Rule } from "@lowrank/tensor/check";
import { orNull } from "../shared/config-rules.ts";
import type { ConfigSource } from "../shared/config-table.ts";
import { yarnAttentionFactor, type RopeScaling } from "../shared/rope-scaling.ts";

/** The rotary options of layers of one kind. */
export interface RopeConfig {
  /** The base of the angles. */
  readonly theta: number;
  readonly scaling: RopeScaling;
  /** The scaling's keys as the file has them. */
  readonly options: ConfigSource;
}

/** Rotary options that transformers declares floats. */
export const ROPE_FLOATS: readonly string[] = [
  "rope_theta",
  "factor",
  "attention_factor",
  "beta_fast",
  "beta_slow",
  "low_freq_factor",
  "high_freq_factor",
  "mscale",
  "mscale_all_dim",
];

interface Options {
  readonly rope_theta: number | null | undefined;
  readonly rope_type: string | null | undefined;
  readonly type: string | null | undefined;
  readonly partial_rotary_factor: number | null | undefined;
}

const ROPE_OPTIONS: Rule<Options> = fields<Options>(
  {
    rope_theta: optional(orNull(positive)),
    rope_type: optional(orNull(text)),
    type: optional(orNull(text)),
    partial_rotary_factor: optional(orNull(positive)),
  },
  { unknown: "keep" },
);

const stretch = real({ min: 1 });
const perhaps = <T>(rule: Rule<T>): Rule<T | null | undefined> => optional(orNull(rule));

/** What each kind reads; files keep other keys, and transformers looks at none of them. */
const LINEAR = fields<{ factor: number }>({ factor: stretch }, { unknown: "keep" });
const LLAMA3 = fields<{
  factor: number;
  low_freq_factor: number;
  high_freq_factor: number;
  original_max_position_embeddings: number | null | undefined;
}>(
  {
    factor: stretch,
    low_freq_factor: positive,
    high_freq_factor: positive,
    original_max_position_embeddings: perhaps(size),
  },
  { unknown: "keep" },
);
const YARN = fields<{
  factor: number | null | undefined;
  original_max_position_embeddings: number | null | undefined;
  attention_factor: number | null | undefined;
  beta_fast: number | null | undefined;
  beta_slow: number | null | undefined;
  mscale: number | null | undefined;
  mscale_all_dim: number | null | undefined;
  truncate: boolean | null | undefined;
}>(
  {
    factor: perhaps(stretch),
    original_max_position_embeddings: perhaps(size),
    attention_factor: perhaps(positive),
    beta_fast: perhaps(positive),
    beta_slow: perhaps(positive),
    mscale: perhaps(real({ min: 0 })),
    mscale_all_dim: perhaps(real({ min: 0 })),
    truncate: perhaps(flag),
  },
  { unknown: "keep" },
);

/** How long texts were before stretching. */
const ORIGINAL = "original_max_position_embeddings";

/** By the kind's name in files. @param positions `max_position_embeddings` */
const KINDS: Readonly<Record<string, (options: Options, place: string, positions: number) => RopeScaling>> = {
  default: () => ({ kind: "default" }),
  linear: (options, place) => ({ kind: "linear", factor: checkFile(place, LINEAR, options).factor }),
  dynamic: (options, place, positions) => ({
    kind: "dynamic",
    factor: checkFile(place, LINEAR, options).factor,
    positions,
  }),
  llama3(options, place, positions) {
    const read = checkFile(place, LLAMA3, options);
    return {
      kind: "llama3",
      factor: read.factor,
      lowFreqFactor: read.low_freq_factor,
      highFreqFactor: read.high_freq_factor,
      positions: read.original_max_position_embeddings ?? positions,
    };
  },
  yarn(options, place, positions) {
    const read = checkFile(place, YARN, options);
    const original = read.original_max_position_embeddings ?? positions;
    const factor = read.factor ?? positions / original;
    return {
      kind: "yarn",
      factor,
      attentionFactor:
        read.attention_factor ??
        yarnAttentionFactor(factor, read.mscale ?? undefined, read.mscale_all_dim ?? undefined),
      betaFast: read.beta_fast ?? 32,
      betaSlow: read.beta_slow ?? 1,
      truncate: read.truncate ?? true,
      positions: original,
    };
  },
};
const NAMES = Object.keys(KINDS);

/** Keys that stand apart from the scaling's own. */
const APART = ["rope_theta", "rope_type", "type", "partial_rotary_factor"];

interface ReadOptions {
  readonly scaling: RopeScaling;
  readonly options: ConfigSource;
  readonly notBuilt: readonly string[];
}

/** One object of options. @param name its key in the file */
function readRopeOptions(name: string, options: Options, positions: number, original: number | undefined): ReadOptions {
  const kind = options.rope_type ?? options.type ?? "default";
  const built = Object.hasOwn(KINDS, kind);
  // one object a kind of layer, as other families have
  const nested = Object.entries(options).find(([, value]) => typeof value === "object" && value !== null);
  const read = original === undefined ? options : { ...options, [ORIGINAL]: original };
  const scaling: RopeScaling = built ? KINDS[kind]!(read, `config.json: ${name}`, positions) : { kind: "default" };
  const kept = Object.entries(options).filter(([key, value]) => !APART.includes(key) && value != null);
  return {
    scaling,
    options: scaling.kind === "default" ? {} : Object.fromEntries(kept),
    notBuilt: [
      ...(built ? [] : [`${name} of rope_type ${quote(kind)} is not built; there are ${NAMES.join(", ")}`]),
      ...(nested === undefined
        ? []
        : [`${name}.${nested[0]} is an object; rotary positions that differ between layers are not built`]),
      ...partial(`${name}.partial_rotary_factor`, options.partial_rotary_factor),
    ],
  };
}

/** Where a file has the options of layers of one kind. */
export interface RopePlace {
  /** Their key in `rope_parameters`, where layers differ; undefined: the object itself has the options. */
  readonly layers?: string;
  readonly thetaKey: string;
  /** transformers' default base. */
  readonly theta: number;
  /** Whether `rope_scaling` is theirs. */
  readonly scaled: boolean;
}

const ALL_LAYERS: RopePlace = { thetaKey: "rope_theta", theta: 10000, scaled: true };

const PARAMETERS = "rope_parameters";
const NESTED = fields<Record<string, unknown>>({}, { unknown: "keep" });

/** The objects of options that a file has for a place, under their names. */
function* optionsAt(source: ConfigSource, { layers, scaled }: RopePlace): Generator<readonly [string, unknown]> {
  const parameters = source[PARAMETERS];
  if (layers === undefined) yield [PARAMETERS, parameters];
  else if (parameters != null) {
    const { [layers]: own, ...others } = checkFile(
      "config.json",
      fields({ [PARAMETERS]: NESTED }, { unknown: "keep" }),
      {
        [PARAMETERS]: parameters,
      },
    )[PARAMETERS]!;
    if ("rope_theta" in others || "rope_type" in others)
      throw new LowrankError(
        "FormatError",
        `config.json: ${PARAMETERS} must have an object for each kind of layer, such as ${quote(layers)}`,
      );
    yield [`${PARAMETERS}.${layers}`, own];
  }
  if (scaled) yield ["rope_scaling", source["rope_scaling"]];
}

/**
 * The rotary options, and what else is asked for: which weights there are does not depend on it, so it is no error while counting.
 * @param positions `max_position_embeddings`
 */
export function readRope(
  source: ConfigSource,
  positions: number,
  place: RopePlace = ALL_LAYERS,
): { readonly rope: RopeConfig; readonly notBuilt: readonly string[] } {
  const outer = numberAt(source, place.thetaKey);
  const places = [...optionsAt(source, place)].flatMap(([name, value]) => {
    const options = checkFile(
      "config.json",
      fields<Record<string, Options | null | undefined>>({ [name]: perhaps(ROPE_OPTIONS) }),
      { [name]: value },
    )[name];
    return options == null || Object.keys(options).length === 0 ? [] : [{ name, options }];
  });
  const theta = agreed([
    [place.thetaKey, outer],
    ...places.map(({ name, options }) => [`${name}.rope_theta`, options.rope_theta] as const),
  ]);
  // beside the options it wins over theirs, as in transformers, which does not look there where layers differ
  const original = place.layers === undefined ? numberAt(source, ORIGINAL, size) : undefined;
  const read = places.map(({ name, options }) => ({ name, ...readRopeOptions(name, options, positions, original) }));
  requireOneScaling(read);
  const { scaling, options } = read[0] ?? { scaling: { kind: "default" }, options: {} };
  return {
    rope: { theta: theta ?? place.theta, scaling, options },
    notBuilt: [
      ...read.flatMap((r) => r.notBuilt),
      ...partial("partial_rotary_factor", numberAt(source, "partial_rotary_factor")),
    ],
  };
}

/** What is not built is told of as such. */
function requireOneScaling(read: readonly (ReadOptions & { readonly name: string })[]): void {
  const built = read.filter(({ notBuilt }) => notBuilt.length === 0);
  const other = built.find(({ scaling }) => JSON.stringify(scaling) !== JSON.stringify(built[0]!.scaling));
  if (other !== undefined)
    throw new LowrankError(
      "FormatError",
      `config.json: ${built[0]!.name} of rope_type ${quote(built[0]!.scaling.kind)} and ${other.name} of rope_type ${quote(other.scaling.kind)} disagree; keep one`,
    );
}

function numberAt(source: ConfigSource, name: string, kind: Rule<number> = positive): number | undefined {
  const rule = fields<Record<string, number | null | undefined>>({ [name]: perhaps(kind) }, { unknown: "keep" });
  return checkFile("config.json", rule, source)[name] ?? undefined;
}

/** The one value of all that are there. @throws LowrankError naming two that differ */
function agreed(places: readonly (readonly [name: string, value: number | null | undefined])[]): number | undefined {
  const there = places.filter((place): place is readonly [string, number] => place[1] != null);
  const [first] = there;
  const other = there.find(([, value]) => value !== first![1]);
  if (other !== undefined)
    throw new LowrankError(
      "FormatError",
      `config.json: ${first![0]} ${first![1]} and ${other[0]} ${other[1]} disagree; keep one`,
    );
  return first?.[1];
}

/** As `rope_parameters`, or one entry of it. */
export function ropeParameters({ theta, scaling, options }: RopeConfig): Record<string, unknown> {
  return { ...options, rope_type: scaling.kind, rope_theta: theta };
}

/** Both forms: each version of transformers reads its own. */
export function writeRope(rope: RopeConfig): Record<string, unknown> {
  const { rope_theta: theta, ...scaling } = ropeParameters(rope);
  return {
    rope_theta: theta,
    rope_parameters: ropeParameters(rope),
    ...(rope.scaling.kind === "default" ? {} : { rope_scaling: scaling }),
  };
}

function partial(name: string, factor: number | null | undefined): string[] {
  return factor == null || factor === 1 ? [] : [`${name} ${factor} is not built; only 1 is`];
}
