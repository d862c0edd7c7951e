/**
 * Rotary options of a `config.json`: `rope_parameters` since transformers 5, before that `rope_theta` and `rope_scaling`, whose kind is
 * `rope_type` or, in the oldest, `type`. All that stand in one file must agree.
 */
import { LowrankError, quote } from "@lowrank/tensor";
import { checkFile, fields, optional, positive, text } from "@lowrank/tensor/check";
import { orNull } from "../shared/config-rules.ts";
import type { ConfigSource } from "../shared/config-table.ts";

const OPTIONS = fields<{
  rope_theta: number | null | undefined;
  rope_type: string | null | undefined;
  type: string | null | undefined;
  partial_rotary_factor: number | null | undefined;
}>(
  {
    rope_theta: optional(orNull(positive)),
    rope_type: optional(orNull(text)),
    type: optional(orNull(text)),
    partial_rotary_factor: optional(orNull(positive)),
  },
  { unknown: "keep" },
);
type Options = ReturnType<typeof OPTIONS.read>;

const FILE = fields<{
  rope_theta: number | null | undefined;
  partial_rotary_factor: number | null | undefined;
  rope_parameters: Options | null | undefined;
  rope_scaling: Options | null | undefined;
}>(
  {
    rope_theta: optional(orNull(positive)),
    partial_rotary_factor: optional(orNull(positive)),
    rope_parameters: optional(orNull(OPTIONS)),
    rope_scaling: optional(orNull(OPTIONS)),
  },
  { unknown: "keep" },
);

/** The base of the angles, and what else is asked for: which weights there are does not depend on it, so it is no error while counting. */
export function readRope(source: ConfigSource): { readonly ropeTheta: number; readonly notBuilt: readonly string[] } {
  const {
    rope_parameters: parameters,
    rope_scaling: scaling,
    rope_theta: outer,
    partial_rotary_factor: part,
  } = checkFile("config.json", FILE, source);
  const places = [
    ["rope_parameters", parameters],
    ["rope_scaling", scaling],
  ] as const;
  const thetas = [
    { name: "rope_theta", theta: outer },
    ...places.map(([name, o]) => ({ name: `${name}.rope_theta`, theta: o?.rope_theta })),
  ].filter((t) => t.theta != null);
  const [first] = thetas;
  const other = thetas.find(({ theta }) => theta !== first!.theta);
  if (other !== undefined)
    throw new LowrankError(
      "FormatError",
      `config.json: ${first!.name} ${first!.theta} and ${other.name} ${other.theta} disagree; keep one`,
    );
  const notBuilt = places.flatMap(([name, options]) => {
    if (options == null) return [];
    const kind = options.rope_type ?? options.type ?? "default";
    // one object a kind of layer, as other families have
    const nested = Object.entries(options).find(([, value]) => typeof value === "object" && value !== null);
    return [
      ...(kind === "default" ? [] : [`${name} of rope_type ${quote(kind)} is not built; only "default" is`]),
      ...(nested === undefined
        ? []
        : [`${name}.${nested[0]} is an object; rotary positions that differ between layers are not built`]),
      ...partial(`${name}.partial_rotary_factor`, options.partial_rotary_factor),
    ];
  });
  return { ropeTheta: first?.theta ?? 10000, notBuilt: [...notBuilt, ...partial("partial_rotary_factor", part)] };
}

function partial(name: string, factor: number | null | undefined): string[] {
  return factor == null || factor === 1 ? [] : [`${name} ${factor} is not built; only 1 is`];
}
