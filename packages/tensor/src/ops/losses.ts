/** Training objectives with torch's semantics. */
import { ShapeError } from "../errors.ts";
import { knownOnHost } from "../graph/index-checks.ts";
import { formatShape, sameShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { crossEntropyOptions, reductionOf } from "./options.ts";
import type { OpRecord } from "./record.ts";
import type { Toolbox } from "./toolbox.ts";

export type Reduction = "mean" | "sum" | "none";

export interface CrossEntropyOptions {
  /** Rows with this label count neither in the sum nor in the mean. Default −100. */
  readonly ignoreIndex?: number;
  /** ε: the target is (1 − ε) one-hot + ε/classes. Default 0. */
  readonly labelSmoothing?: number;
  readonly reduction?: Reduction;
}

export const crossEntropy: OpRecord<[logits: Tensor, labels: Tensor, options?: CrossEntropyOptions]> = {
  name: "crossEntropy",
  doc: "−log softmax(logits [n, classes]) at labels [n]; the mean is over rows that are not ignored (NaN when all are, as in torch); a label that is neither a class nor ignored is an error before the run, or NaN where the device computed it",
  precision: "full",
  tolerance: "row",
  differentiable: true,
  sample: (g) => {
    const [n, classes] = [g.size(6), g.size(9)];
    const labels = g.ints([n], 0, classes - 1);
    if (n > 1 && g.boolean()) labels.data[0] = -100;
    return [
      g.tensor([n, classes], { min: -5, max: 5 }),
      labels,
      { reduction: g.pick(["mean", "sum", "none"] as const), labelSmoothing: g.pick([0, 0.1]) },
    ];
  },
  call: (t, logits, labels, options = {}) => {
    const { ignoreIndex = -100, labelSmoothing: epsilon = 0, reduction = "mean" } = crossEntropyOptions(options);
    if (logits.rank !== 2 || labels.rank !== 1 || labels.shape[0] !== logits.shape[0])
      throw new ShapeError(
        `crossEntropy: needs logits [n, classes] and labels [n], got ${formatShape(logits.shape)} and ${formatShape(labels.shape)}`,
      );
    const classes = logits.shape[1]!;
    const checked = t.checkIndices(labels, { size: classes, ignore: ignoreIndex, op: "crossEntropy", name: "label" });
    const label = t.unsqueeze(t.cast(checked, "i32"), 1);
    const counted = t.ne(label, ignoreIndex);
    const hit = t.eq(t.iota(logits, 1), label);
    const logp = t.logSoftmax(logits, 1);
    let row = t.neg(t.sum(t.where(hit, logp, 0), 1, true));
    if (epsilon !== 0) row = t.add(t.mul(row, 1 - epsilon), t.mul(t.sum(logp, 1, true), -epsilon / classes));
    // 0 for a class and NaN for a label that the device computed and that is none: a gather, which anomaly detection can name
    const none = knownOnHost(labels.node)
      ? undefined
      : t.gatherRows(t.expand(t.make.scalar(0, logits), [classes]), t.where(counted, label, 0));
    const orNaN = (x: Tensor): Tensor => (none === undefined ? x : t.add(x, none));
    const kept = t.where(counted, orNaN(row), 0);
    const each = t.make.customVjp(kept, [logits], (dy) => {
      // d/dx_j = softmax_j − (1 − ε)[j = label] − ε/classes, and 0 for ignored rows
      const target = t.where(
        hit,
        1 - epsilon + epsilon / classes,
        epsilon === 0 ? t.make.scalar(0, logits) : t.make.scalar(epsilon / classes, logits),
      );
      return [t.where(counted, orNaN(t.mul(dy, t.sub(t.exp(logp), target))), 0)];
    });
    const flat = t.squeeze(each, 1);
    if (reduction === "none") return flat;
    const total = t.sum(flat);
    return reduction === "sum" ? total : t.div(total, t.cast(t.sum(counted), logits.dtype));
  },
};

function reduced(t: Toolbox, op: string, each: Tensor, wanted: Reduction): Tensor {
  const reduction = reductionOf(op, wanted);
  return reduction === "none" ? each : reduction === "sum" ? t.sum(each) : t.mean(each);
}

/** Losses compare element with element: shapes that would broadcast are two different things. */
function sameShapes(op: string, a: Tensor, b: Tensor): void {
  if (!sameShape(a.shape, b.shape))
    throw new ShapeError(
      `${op}: shapes differ: ${formatShape(a.shape)} and ${formatShape(b.shape)}; reshape one, a loss does not broadcast`,
    );
}

export const mse: OpRecord<[a: Tensor, b: Tensor, reduction?: Reduction]> = {
  name: "mse",
  doc: "(a − b)² of equal shapes, averaged, summed or as it is",
  precision: "full",
  tolerance: "reduction",
  differentiable: true,
  sample: (g) => {
    const shape = g.shape();
    return [g.tensor(shape), g.tensor(shape), g.pick(["mean", "sum", "none"] as const)];
  },
  call: (t, a, b, reduction = "mean") => {
    sameShapes("mse", a, b);
    return reduced(t, "mse", t.square(t.sub(a, b)), reduction);
  },
};

export const binaryCrossEntropy: OpRecord<[logits: Tensor, targets: Tensor, reduction?: Reduction]> = {
  name: "binaryCrossEntropy",
  doc: "−y·log σ(x) − (1 − y)·log(1 − σ(x)) of logits x and targets y in [0, 1] of equal shapes (torch's binary_cross_entropy_with_logits), averaged, summed or as it is",
  precision: "full",
  tolerance: "row",
  differentiable: true,
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
  call: (t, logits, targets, reduction = "mean") => {
    sameShapes("binaryCrossEntropy", logits, targets);
    const y = t.cast(targets, logits.dtype);
    // max(x, 0) − x·y + log(1 + e^−|x|)
    const e = t.exp(t.neg(t.abs(logits)));
    const each = t.make.customVjp(
      t.add(t.sub(t.maximum(logits, 0), t.mul(logits, y)), t.log1p(e)),
      [logits, y],
      (dy) => {
        // σ(x) − y, from σ(−|x|): the difference from 1 would cancel
        const small = t.div(e, t.add(e, 1));
        return [
          t.mul(dy, t.where(t.ge(logits, 0), t.sub(t.sub(1, y), small), t.sub(small, y))),
          t.neg(t.mul(dy, logits)),
        ];
      },
    );
    return reduced(t, "binaryCrossEntropy", each, reduction);
  },
};
