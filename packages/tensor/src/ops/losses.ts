/** Training objectives with torch's semantics. */
import { fields, oneOf, optional, real, type Rule, type Rules } from "../check/rules.ts";
import { ShapeError } from "../errors.ts";
import { knownOnHost } from "../graph/index-checks.ts";
import { formatShape, sameShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { square } from "./activations.ts";
import { add, div, eq, ge, maximum, mul, ne, sub } from "./binary.ts";
import { inPrecision } from "./in-precision.ts";
import { checkIndices } from "./indices.ts";
import { composite, customVjp, scalar } from "./make.ts";
import { argument, integer, optionsOf } from "./options.ts";
import { squeeze, unsqueeze } from "./rearrange.ts";
import type { OpRecords, Refusal, SampleSource } from "./record.ts";
import { mean, sum } from "./reductions.ts";
import { gatherRows } from "./rows.ts";
import { logSoftmax } from "./softmax.ts";
import { cast, iota, where } from "./sources.ts";
import { abs, exp, log1p, neg } from "./unary.ts";
import { expand } from "./views.ts";

export type Reduction = "mean" | "sum" | "none";

const reductionRule: Rule<Reduction> = /* @__PURE__ */ oneOf("mean", "sum", "none");

export interface CrossEntropyOptions {
  /** Rows with this label count neither in the sum nor in the mean. Default −100. */
  readonly ignoreIndex?: number;
  /** ε: the target is (1 − ε) one-hot + ε/classes. Default 0. */
  readonly labelSmoothing?: number;
  readonly reduction?: Reduction;
}

export const crossEntropyRules = (): Rules<CrossEntropyOptions> => ({
  ignoreIndex: optional(integer),
  labelSmoothing: optional(real({ min: 0, max: 1 })),
  reduction: optional(reductionRule),
});
/** torch's names of the options. */
export const CROSS_ENTROPY_SPELT = { ignore_index: "ignoreIndex", label_smoothing: "labelSmoothing" } as const;

const crossEntropyOptions = /* @__PURE__ */ optionsOf("crossEntropy", () =>
  fields<CrossEntropyOptions>(crossEntropyRules(), { spelt: CROSS_ENTROPY_SPELT }),
);

/**
 * −log softmax(logits [n, classes]) at labels [n]; the mean is over rows that are not ignored (NaN when all are, as in
 * torch); a label that is neither a class nor ignored is an error before the run, or NaN where the device computed it.
 */
export const crossEntropy: (logits: Tensor, labels: Tensor, options?: CrossEntropyOptions) => Tensor =
  /* @__PURE__ */ inPrecision("full", (logits, labels, options = {}) => {
    const { ignoreIndex = -100, labelSmoothing: epsilon = 0, reduction = "mean" } = crossEntropyOptions(options);
    if (logits.rank !== 2 || labels.rank !== 1 || labels.shape[0] !== logits.shape[0])
      throw new ShapeError(
        `crossEntropy: needs logits [n, classes] and labels [n], got ${formatShape(logits.shape)} and ${formatShape(labels.shape)}`,
      );
    const classes = logits.shape[1]!;
    const { label, counted, orNaN } = rowLabels("crossEntropy", labels, { classes, ignoreIndex, like: logits });
    const hit = eq(iota(logits, 1), label);
    const logp = logSoftmax(logits, 1);
    let row = neg(sum(where(hit, logp, 0), 1, true));
    if (epsilon !== 0) row = add(mul(row, 1 - epsilon), mul(sum(logp, 1, true), -epsilon / classes));
    const kept = where(counted, orNaN(row), 0);
    const each = customVjp(kept, [logits], (dy) => {
      // d/dx_j = softmax_j − (1 − ε)[j = label] − ε/classes, and 0 for ignored rows
      return [where(counted, orNaN(mul(dy, sub(exp(logp), smoothed(hit, epsilon, classes, logits)))), 0)];
    });
    return composite("crossEntropy", ofRows(each, counted, reduction), [logits, labels], {
      ignoreIndex,
      labelSmoothing: epsilon,
      reduction,
    });
  });

/** Labels as losses over classes use them, each [n, 1] or for that. */
export interface RowLabels {
  readonly label: Tensor;
  /** Whether a row is asked for anything. */
  readonly counted: Tensor;
  /** x, or NaN in the row of a label that the device computed and that is no class. */
  readonly orNaN: (x: Tensor) => Tensor;
}

/** @param op whose labels they are, for the error */
export function rowLabels(
  op: string,
  labels: Tensor,
  { classes, ignoreIndex, like }: { readonly classes: number; readonly ignoreIndex: number; readonly like: Tensor },
): RowLabels {
  const checked = checkIndices(labels, { size: classes, ignore: ignoreIndex, op, name: "label" });
  const label = unsqueeze(cast(checked, "i32"), 1);
  const counted = ne(label, ignoreIndex);
  // 0 for a class and NaN for what is none: a gather, which anomaly detection can name
  const none = knownOnHost(labels.node)
    ? undefined
    : gatherRows(expand(scalar(0, like), [classes]), where(counted, label, 0));
  return { label, counted, orNaN: (x) => (none === undefined ? x : add(x, none)) };
}

/** The distribution that is asked for: (1 − ε) one-hot + ε/classes. */
export function smoothed(hit: Tensor, epsilon: number, classes: number, like: Tensor): Tensor {
  return where(hit, 1 - epsilon + epsilon / classes, epsilon === 0 ? scalar(0, like) : scalar(epsilon / classes, like));
}

/** Losses [n, 1] row by row, added up, or averaged over the rows that count. */
export function ofRows(each: Tensor, counted: Tensor, reduction: Reduction): Tensor {
  const flat = squeeze(each, 1);
  if (reduction === "none") return flat;
  const total = sum(flat);
  return reduction === "sum" ? total : div(total, cast(sum(counted), each.dtype));
}

function reduced(op: string, each: Tensor, wanted: Reduction): Tensor {
  const reduction = argument(op, "reduction", reductionRule, wanted);
  return reduction === "none" ? each : reduction === "sum" ? sum(each) : mean(each);
}

/** Losses compare element with element: shapes that would broadcast are two different things. */
function sameShapes(op: string, a: Tensor, b: Tensor): void {
  if (!sameShape(a.shape, b.shape))
    throw new ShapeError(
      `${op}: shapes differ: ${formatShape(a.shape)} and ${formatShape(b.shape)}; reshape one, a loss does not broadcast`,
    );
}

/** (a − b)² of equal shapes, averaged, summed or as it is. */
export const mse: (a: Tensor, b: Tensor, reduction?: Reduction) => Tensor = /* @__PURE__ */ inPrecision(
  "full",
  (a, b, reduction = "mean") => {
    sameShapes("mse", a, b);
    return reduced("mse", square(sub(a, b)), reduction);
  },
);

/**
 * −y·log σ(x) − (1 − y)·log(1 − σ(x)) of logits x and targets y in [0, 1] of equal shapes (torch's
 * binary_cross_entropy_with_logits), averaged, summed or as it is.
 */
export const binaryCrossEntropy: (logits: Tensor, targets: Tensor, reduction?: Reduction) => Tensor =
  /* @__PURE__ */ inPrecision("full", (logits, targets, reduction = "mean") => {
    sameShapes("binaryCrossEntropy", logits, targets);
    const y = cast(targets, logits.dtype);
    // max(x, 0) − x·y + log(1 + e^−|x|)
    const e = exp(neg(abs(logits)));
    const each = customVjp(add(sub(maximum(logits, 0), mul(logits, y)), log1p(e)), [logits, y], (dy) => {
      // σ(x) − y, from σ(−|x|): the difference from 1 would cancel
      const small = div(e, add(e, 1));
      return [mul(dy, where(ge(logits, 0), sub(sub(1, y), small), sub(small, y))), neg(mul(dy, logits))];
    });
    return reduced("binaryCrossEntropy", each, reduction);
  });

function refuseLoss(g: SampleSource): readonly Refusal[] {
  return [
    ["shapes that differ", "ShapeError", [g.tensor([2, 3]), g.tensor([3])]],
    ["a reduction that there is not", "ConfigError", [g.tensor([2]), g.tensor([2]), "average"]],
  ];
}

/** What tests know of these ops. */
export const lossesRecords: OpRecords = {
  crossEntropy: {
    tolerance: "row",
    differentiable: true,
    refuses: (g) => [
      ["labels of another length", "ShapeError", [g.tensor([2, 3]), g.ints([3], 0, 2)]],
      ["labels that are no integers", "DTypeError", [g.tensor([2, 3]), g.tensor([2])]],
      ["a label that is no class", "ValueError", [g.tensor([2, 3]), { ...g.ints([2], 3, 3) }]],
      ["smoothing beyond 1", "ConfigError", [g.tensor([2, 3]), g.ints([2], 0, 2), { labelSmoothing: 1.5 }]],
    ],
    sample: (g) => {
      const [n, classes] = [g.size(6), g.size(9)];
      const labels = g.ints([n], 0, classes - 1);
      if (n > 1 && g.boolean()) labels.data[0] = -100;
      return [
        // e^x of the large ones overflows
        g.tensor([n, classes], g.integer(0, 3) === 0 ? { min: -200, max: 200 } : { min: -5, max: 5 }),
        labels,
        { reduction: g.pick(["mean", "sum", "none"] as const), labelSmoothing: g.pick([0, 0.1]) },
      ];
    },
  },
  mse: {
    tolerance: "reduction",
    differentiable: true,
    refuses: refuseLoss,
    sample: (g) => {
      const shape = g.shape();
      return [g.tensor(shape), g.tensor(shape), g.pick(["mean", "sum", "none"] as const)];
    },
  },
  binaryCrossEntropy: {
    tolerance: "row",
    differentiable: true,
    refuses: refuseLoss,
    sample: (g) => {
      const shape = g.shape();
      return [
        g.tensor(shape, {
          min: -8,
          max: 8,
          avoid: [0],
          gap: 1e-2,
          tails: [
            [-80, -8],
            [8, 80],
          ],
        }),
        g.boolean() ? g.tensor(shape, { min: 0, max: 1 }) : { ...g.bools(shape), dtype: "i32" },
        g.pick(["mean", "sum", "none"] as const),
      ];
    },
  },
};
