/**
 * Cross-entropy of what a linear layer makes of each row, one output for each word of a vocabulary. Beyond a size the outputs never exist as
 * a whole: they are worked on block by block of words. Rows keep their largest output so far and the sum of exponentials under it
 * (Milakov & Gimelshein 2018, "Online normalizer calculation for softmax"), and for the gradient of x the weights mixed by these exponentials,
 * as attention keeps values (Rabe & Staats 2021, "Self-attention does not need O(n²) memory"): a frozen weight takes its two products, as ever.
 * A gradient of the weight needs finished sums. Outputs wait for them where the gradient will be; if that has no room for them and they are many, they are computed again.
 */
import { fields, optional, whole } from "../check/rules.ts";
import { promote } from "../dtype.ts";
import { ShapeError } from "../errors.ts";
import { currentPrecision, withPrecision } from "../precision.ts";
import { formatShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { assembled, inMemory } from "./assemble.ts";
import { add, div, eq, ge, logicalAnd, lt, maximum, mul, sub } from "./binary.ts";
import {
  CROSS_ENTROPY_SPELT,
  crossEntropy,
  crossEntropyRules,
  ofRows,
  rowLabels,
  smoothed,
  type CrossEntropyOptions,
  type RowLabels,
} from "./losses.ts";
import { customVjp } from "./make.ts";
import { matmul } from "./matmul.ts";
import { optionsOf, tensor } from "./options.ts";
import { squeeze } from "./rearrange.ts";
import type { OpRecords, SampleSource } from "./record.ts";
import { amax, sum } from "./reductions.ts";
import { gather, gatherRows } from "./rows.ts";
import { cast, iota, where } from "./sources.ts";
import { linear } from "./transformer.ts";
import { exp, log } from "./unary.ts";
import { barrier, detach, slice, transpose } from "./views.ts";

/** Outputs up to which all are stored, 64 MB of them. */
const WHOLE = 1 << 24;
/** Outputs of a block, 16 MB; a block and its exponentials are there at once. */
const TILE = 1 << 22;
/** Blocks at most, for each is code of its own; rows too many for that make blocks larger. */
const MOST_BLOCKS = 128;
/** Words of a block are a multiple of this: parts of the weight's gradient begin where buffers can. */
const STEP = 128;
/** Blocks whose outputs wait for a gradient of the weight, rather than being computed twice, where they do not fit in its place. */
const MOST_KEPT = 16;
/** The lowest finite f32: rows of −∞ give exponentials of −∞ and not of NaN. */
const LOWEST = -(2 - 2 ** -23) * 2 ** 127;

export interface LinearCrossEntropyOptions extends CrossEntropyOptions {
  /** [words], added to the outputs. */
  readonly bias?: Tensor;
  /**
   * Words that are worked on at once. Default: all where there are up to 2^24 outputs (64 MB), else so many that a block has 2^22, but no
   * more than 128 blocks.
   */
  readonly blockSize?: number;
}

const optionsFrom = /* @__PURE__ */ optionsOf("linearCrossEntropy", () =>
  fields<LinearCrossEntropyOptions>(
    { ...crossEntropyRules(), bias: optional(tensor), blockSize: optional(whole(1)) },
    { spelt: { ...CROSS_ENTROPY_SPELT, chunk_size: "blockSize", chunkSize: "blockSize" } },
  ),
);

/** A linear layer and the rows it is asked about. */
interface Question extends RowLabels {
  readonly x: Tensor;
  readonly weight: Tensor;
  readonly bias: Tensor | undefined;
  readonly blocks: readonly Block[];
  /** Outputs [n, words of the block] at full precision; products are in that of the forward pass, whoever asks. */
  readonly outputs: (x: Tensor, block: Block) => Tensor;
  readonly epsilon: number;
}

/** Words [from, to). */
interface Block {
  readonly from: number;
  readonly to: number;
}

/** What is known of each row, [n, 1] but for `mixed`. */
interface Seen {
  /** The largest output. */
  readonly top: Tensor;
  /** Σ e^(output − top). */
  readonly total: Tensor;
  /** The label's output. */
  readonly own: Tensor;
  /** Σ of outputs; where labels are smoothed. */
  readonly sum: Tensor | undefined;
  /** Σ e^(output − top) · weight, [n, in]. */
  readonly mixed: Tensor;
}

/**
 * crossEntropy(linear(x, weight, bias), labels) for x [n, in], weight [words, in] and labels [n], without storing the n · words outputs
 * where they are many. Computed in blocks it is the same up to rounding, of any order of gradients. Forms of weights are decoded as the
 * products read them, and read a few times in all, however many rows there are.
 */
export function linearCrossEntropy(
  x: Tensor,
  weight: Tensor,
  labels: Tensor,
  options: LinearCrossEntropyOptions = {},
): Tensor {
  const { bias, blockSize, ...rest } = optionsFrom(options);
  if (x.rank !== 2 || weight.rank !== 2 || x.shape[1] !== weight.shape[1])
    throw new ShapeError(
      `linearCrossEntropy: needs x [n, in] and weight [words, in], got ${formatShape(x.shape)} and ${formatShape(weight.shape)}`,
    );
  const [n, words] = [x.shape[0]!, weight.shape[0]!];
  if (labels.rank !== 1 || labels.shape[0] !== n)
    throw new ShapeError(
      `linearCrossEntropy: needs labels [${n}], one for each row of x, got ${formatShape(labels.shape)}`,
    );
  if (bias !== undefined && (bias.rank !== 1 || bias.shape[0] !== words))
    throw new ShapeError(
      `linearCrossEntropy: needs bias [${words}], one for each word, got ${formatShape(bias.shape)}`,
    );
  const step = blockSize ?? blockSizeOf(n, words);
  if (step >= words || x.size === 0) return crossEntropy(linear(x, weight, bias), labels, rest);
  return inBlocks(x, weight, bias, labels, step, rest);
}

function blockSizeOf(n: number, words: number): number {
  if (n * words <= WHOLE) return words;
  const size = Math.max(TILE / n, words / MOST_BLOCKS);
  return Math.ceil(size / STEP) * STEP;
}

function inBlocks(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  labels: Tensor,
  step: number,
  { ignoreIndex = -100, labelSmoothing: epsilon = 0, reduction = "mean" }: CrossEntropyOptions,
): Tensor {
  const words = weight.shape[0]!;
  const policy = currentPrecision();
  const given = [x, weight, ...(bias === undefined ? [] : [bias])].map(({ dtype }) => dtype).reduce(promote);
  const dtype = policy?.compute ?? given;
  const full = dtype === "f16" || dtype === "bf16" ? x.device.defaultFloat : dtype;
  const blocks = Array.from({ length: Math.ceil(words / step) }, (_, i): Block => {
    return { from: i * step, to: Math.min(words, (i + 1) * step) };
  });
  const outputs = (rows: Tensor, block: Block): Tensor =>
    cast(
      withPrecision(policy, () => linear(rows, partOf(weight, block), bias && partOf(bias, block))),
      full,
    );
  return withPrecision(undefined, () => {
    // labels first: a device that knows them checks them before it computes anything
    const rows = rowLabels("linearCrossEntropy", labels, { classes: words, ignoreIndex, like: cast(x, full) });
    const question: Question = { ...rows, x, weight, bias, blocks, outputs, epsilon };
    const { seen, kept } = lookThrough(question);
    const { top, total, own } = seen;
    const logTotal = inMemory(log(total));
    // what is small is added first: top may be large
    const row = add(logTotal, sub(top, own));
    const even = seen.sum && add(logTotal, sub(top, mul(seen.sum, 1 / words)));
    const loss = even === undefined ? row : add(mul(row, 1 - epsilon), mul(even, epsilon));
    const each = customVjp(
      where(rows.counted, rows.orNaN(loss), 0),
      [x, weight, ...(bias === undefined ? [] : [bias])],
      (dy, [, ...ofWeights]) =>
        withPrecision(undefined, () =>
          ofWeights.includes(true) || epsilon !== 0
            ? allGradients(question, { top, logTotal, kept, keeps: ofWeights[0] === true }, dy)
            : [gradientOfRows(question, seen, dy)],
        ),
    );
    const result = ofRows(each, rows.counted, reduction);
    // as losses of half precision are, where no policy says otherwise
    return policy === undefined ? cast(result, dtype) : result;
  });
}

function partOf(t: Tensor, { from, to }: Block): Tensor {
  return slice(t, 0, from, to);
}

/** One block after another; what rows know is in memory between them, so that a block's outputs can be forgotten. */
function lookThrough({ x, weight, blocks, outputs, label, epsilon }: Question): { seen: Seen; kept: Tensor[] } {
  let seen: Seen | undefined;
  const kept: Tensor[] = [];
  for (const block of blocks) {
    const z = outputs(x, block);
    kept.push(z);
    const peak = amax(detach(z), 1, true);
    const top = maximum(peak, seen?.top ?? LOWEST);
    const e = exp(sub(z, top));
    const at = sub(label, block.from);
    const inside = logicalAnd(ge(at, 0), lt(at, block.to - block.from));
    const own = where(inside, gather(z, 1, where(inside, at, 0)), 0);
    const mixed = matmul(e, cast(partOf(weight, block), z.dtype));
    const shrunk = seen && exp(sub(seen.top, top));
    const on = (before: Tensor | undefined, more: Tensor, by?: Tensor): Tensor =>
      inMemory(before === undefined ? more : add(by === undefined ? before : mul(before, by), more));
    seen = {
      top,
      total: on(seen?.total, sum(e, 1, true), shrunk),
      own: on(seen?.own, own),
      sum: epsilon === 0 ? undefined : on(seen?.sum, sum(z, 1, true)),
      mixed: on(seen?.mixed, mixed, shrunk),
    };
  }
  return { seen: seen!, kept };
}

/** Of x alone, without smoothing: dy · (Σ softmax · weight − the label's weight). */
function gradientOfRows({ x, weight, label, counted, orNaN }: Question, { mixed, total }: Seen, dy: Tensor): Tensor {
  const own = cast(gatherRows(weight, squeeze(where(counted, label, 0), 1)), dy.dtype);
  return cast(where(counted, orNaN(mul(dy, sub(div(mixed, total), own))), 0), x.dtype);
}

interface Finished extends Pick<Seen, "top"> {
  readonly logTotal: Tensor;
  /** Outputs of the forward pass, by block. */
  readonly kept: readonly Tensor[];
  /** Whether there will be a gradient of the weight, which has a place for them. */
  readonly keeps: boolean;
}

/** Of x, weight and bias, from each output's own. */
function allGradients(
  { x, weight, bias, blocks, outputs, label, counted, orNaN, epsilon }: Question,
  { top, logTotal, kept, ...from }: Finished,
  dy: Tensor,
): (Tensor | undefined)[] {
  const [n, words] = [x.shape[0]!, weight.shape[0]!];
  // with no more rows than columns a block's outputs may lie where its part of the weight's gradient will be
  const keeps = (from.keeps && n <= weight.shape[1]!) || blocks.length <= MOST_KEPT;
  // behind the finished sums: not merged with what was computed before them
  const again = keeps ? x : barrier(x, logTotal);
  const wide = cast(again, dy.dtype);
  let dx: Tensor | undefined;
  const [dw, db]: [Tensor[], Tensor[]] = [[], []];
  for (const [i, block] of blocks.entries()) {
    const z = keeps ? kept[i]! : outputs(again, block);
    const hit = eq(iota(z, 1), sub(label, block.from));
    const p = exp(sub(sub(z, top), logTotal));
    const dz = where(counted, orNaN(mul(dy, sub(p, smoothed(hit, epsilon, words, z)))), 0);
    const back = matmul(dz, cast(partOf(weight, block), dz.dtype));
    dx = inMemory(dx === undefined ? back : add(dx, back));
    dw.push(cast(matmul(transpose(dz), wide), weight.dtype));
    if (bias !== undefined) db.push(cast(sum(dz, 0), bias.dtype));
  }
  return [cast(dx!, x.dtype), assembled(dw), ...(bias === undefined ? [] : [assembled(db)])];
}

/** What tests know of this op. */
export const linearCrossEntropyRecords: OpRecords = {
  linearCrossEntropy: {
    tolerance: "row",
    differentiable: true,
    refuses: (g) => [
      ["labels of another length", "ShapeError", [g.tensor([2, 3]), g.tensor([4, 3]), g.ints([3], 0, 2)]],
      ["a weight that does not fit", "ShapeError", [g.tensor([2, 3]), g.tensor([3, 4]), g.ints([2], 0, 2)]],
      ["a bias that does not fit", "ShapeError", [...asked(g), { bias: g.tensor([3]) }]],
      [
        "a label that is no word",
        "ValueError",
        [g.tensor([2, 3]), g.tensor([4, 3]), g.ints([2], 4, 4), { blockSize: 2 }],
      ],
      ["blocks of nothing", "ConfigError", [...asked(g), { blockSize: 0 }]],
    ],
    sample: (g) => {
      const [n, inputs, words] = [g.size(5), g.size(6), g.size(11)];
      const labels = g.ints([n], 0, words - 1);
      if (n > 1 && g.boolean()) labels.data[0] = -100;
      const large = g.integer(0, 3) === 0;
      return [
        g.tensor([n, inputs], large ? { min: -9, max: 9 } : { min: -2, max: 2 }),
        g.tensor([words, inputs], { min: -2, max: 2 }),
        labels,
        {
          reduction: g.pick(["mean", "sum", "none"] as const),
          labelSmoothing: g.pick([0, 0, 0.1]),
          // three blocks at most: each is kernels of its own, which a software GPU takes seconds to compile
          blockSize: g.integer(Math.max(1, Math.ceil(words / 3)), Math.max(1, words)),
          ...(g.boolean() ? { bias: g.tensor([words]) } : {}),
        },
      ];
    },
  },
};

function asked(g: SampleSource): readonly unknown[] {
  return [g.tensor([2, 3]), g.tensor([4, 3]), g.ints([2], 0, 3)];
}
