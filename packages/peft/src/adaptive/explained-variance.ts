/**
 * EVA's redistribution (Paischer et al. 2024, "One Initialization to Rule them All: Fine-tuning via Explained Variance Adaptation",
 * arXiv:2410.07170): ranks go where a few directions explain much of the variance of a module's inputs. Components of all modules
 * compete by their explained-variance ratio; the choice is made once, after the first step, unless a schedule is given, and A starts as the
 * directions.
 * The paper takes an incremental SVD of activations; here second moments are summed on the device, and their leading eigenvectors are
 * the same directions.
 */
import { Projection, type Module, type Weight } from "@lowrank/nn";
import { LowrankError, ops, toMemory, topSvd, type Device, type Parameter, type Tensor } from "@lowrank/tensor";
import { callback, checkOptions, fields, leaf, optional, whole } from "@lowrank/tensor/check";
import { BudgetAllocator } from "./allocator.ts";
import type { Triplets } from "./method.ts";
import { FixedScoresRule } from "./fixed-scores.ts";
import { SCORED_RULES, type ScoredOptions } from "./options.ts";
import { WrappedProjection } from "../layers/wrapped-projection.ts";

/** The leading directions of one module's inputs. */
export interface InputDirections {
  /** Share of the variance along each, largest first, [k]. */
  readonly ratios: Float64Array;
  /** Unit vectors, [k, in]. */
  readonly directions: Float64Array;
}

export interface CalibrationOptions<Batch> {
  readonly batches: Iterable<Batch>;
  /**
   * Runs the model on a batch, lazily. Where rows of the modules' inputs [n, in] are padding, returns bool [n] that says which count;
   * modules with another number of rows count all of theirs.
   */
  readonly forward: (batch: Batch) => Tensor | undefined;
  /** Modules whose second moments stand in memory at a time; more passes over the batches need less memory. Default: all. */
  readonly modulesAtOnce?: number;
}

/** A module whose inputs are looked at, and how many of their directions are wanted. */
export type InputModule = Pick<Triplets, "name"> & { readonly e: Pick<Weight, "size"> };

/** Stands in a module's place and keeps what comes in. */
class Probe extends WrappedProjection {
  input: Tensor | undefined;

  override *namedWeights(prefix = ""): Generator<[string, Weight]> {
    yield* this.base.namedWeights(prefix);
  }

  forward(x: Tensor): Tensor {
    this.input = ops.reshape(x, [-1, this.inFeatures]);
    return this.base.forward(x);
  }
}

interface Moments {
  readonly probe: Probe;
  readonly squares: Parameter;
  readonly sums: Parameter;
  readonly count: Parameter;
}

/**
 * Principal directions of what goes into each module while `forward` runs, and the share of the variance along each.
 * @param layers as many directions are found as a module has ranks, at most as it has inputs
 */
export async function inputDirections<Batch>(
  model: Module,
  layers: readonly InputModule[],
  device: Device,
  options: CalibrationOptions<Batch>,
): Promise<Map<string, InputDirections>> {
  checkOptions(
    "inputDirections",
    fields<CalibrationOptions<Batch>>({
      batches: leaf("a list of batches", (v) => typeof v === "object" && v !== null && Symbol.iterator in v),
      forward: callback(),
      modulesAtOnce: optional(whole(1)),
    }),
    options,
  );
  const out = new Map<string, InputDirections>();
  const many = options.modulesAtOnce ?? layers.length;
  for (let from = 0; from < layers.length; from += many) {
    const some = layers.slice(from, from + many);
    const moments = some.map(({ name }) => place(model, name, device));
    try {
      await accumulate(moments, device, options);
      for (const [i, { name, e }] of some.entries()) out.set(name, await leading(name, moments[i]!, e.size));
    } finally {
      for (const [i, { probe, squares, sums, count }] of moments.entries()) {
        model.setModule(some[i]!.name, probe.base);
        for (const parameter of [squares, sums, count]) parameter.dispose();
      }
    }
  }
  return out;
}

function place(model: Module, name: string, device: Device): Moments {
  const base = model.getModule(name);
  if (!(base instanceof Projection)) throw new LowrankError("AdapterError", `${name} is not a projection`);
  const probe = new Probe(base);
  model.setModule(name, probe);
  const n = base.inFeatures;
  const zeros = (shape: readonly number[]): Parameter =>
    device.parameter(new Float64Array(shape.reduce((a, b) => a * b, 1)), shape, device.defaultFloat);
  return { probe, squares: zeros([n, n]), sums: zeros([n]), count: zeros([]) };
}

async function accumulate<Batch>(
  moments: readonly Moments[],
  device: Device,
  { batches, forward }: CalibrationOptions<Batch>,
): Promise<void> {
  for (const batch of batches) {
    for (const { probe } of moments) probe.input = undefined;
    const rows = forward(batch);
    for (const { probe, squares, sums, count } of moments) {
      if (probe.input === undefined) continue;
      const input = ops.cast(probe.input, squares.dtype);
      const counted = rows !== undefined && rows.size === input.shape[0] ? ops.reshape(rows, [-1, 1]) : undefined;
      const x = counted === undefined ? input : ops.where(counted, input, 0);
      squares.assign(ops.add(squares.value, ops.matmul(ops.transpose(x), x)));
      sums.assign(ops.add(sums.value, ops.sum(x, 0)));
      count.assign(
        ops.add(count.value, counted === undefined ? input.shape[0]! : ops.sum(ops.cast(counted, squares.dtype))),
      );
    }
    await device.realize();
  }
}

/** The leading eigenvectors of the covariance, which are its singular vectors. */
async function leading(name: string, { squares, sums, count }: Moments, wanted: number): Promise<InputDirections> {
  const n = sums.size;
  const total = await count.value.item();
  if (total === 0)
    throw new LowrankError(
      "AdapterError",
      `nothing went into ${name} during calibration; is it part of the model's forward pass, and are there batches?`,
    );
  const mean = ops.div(sums.value, total);
  const covariance = await ops
    .sub(ops.div(squares.value, total), ops.mul(ops.reshape(mean, [n, 1]), ops.reshape(mean, [1, n])))
    .floats();
  const variance = covariance.reduce((sum, v, i) => (i % (n + 1) === 0 ? sum + v : sum), 0);
  if (!(variance > 0))
    throw new LowrankError("AdapterError", `what goes into ${name} does not vary in the calibration batches`);
  const k = Math.min(wanted, n);
  const { s, v } = topSvd(covariance, n, n, k);
  return {
    ratios: s.map((value) => value / variance),
    directions: Float64Array.from({ length: k * n }, (_, at) => v[(at % n) * k + Math.floor(at / n)]!),
  };
}

export class ExplainedVarianceRule extends FixedScoresRule {
  /** @param orthRegWeight of the orthogonality term in the objective. Default 0: none */
  constructor(layers: readonly Triplets[], inputs: ReadonlyMap<string, InputDirections>, orthRegWeight: number = 0) {
    const scores = layers.flatMap(({ name, e }) => {
      const found = inputs.get(name);
      if (found === undefined)
        throw new LowrankError("AdapterError", `explained variance: there are no input directions of ${name}`);
      return Array.from({ length: e.size }, (_, k) => found.ratios[k] ?? 0);
    });
    super(
      layers,
      {
        kind: "explained-variance",
        reference:
          "Paischer et al. 2024, One Initialization to Rule them All: Fine-tuning via Explained Variance Adaptation, arXiv:2410.07170",
        scores,
      },
      orthRegWeight,
    );
  }
}

/**
 * Ranks by explained variance: the components with the largest ratios keep their rank. Writes the directions into A; E must still be zero, so that
 * nothing changes by that.
 * @param options where they say nothing of a schedule, the choice is made once, after the first step, as EVA makes it
 */
export async function explainedVariance(
  layers: readonly Triplets[],
  inputs: ReadonlyMap<string, InputDirections>,
  options: ScoredOptions,
): Promise<BudgetAllocator> {
  const { orthRegWeight, ...budget } = checkOptions("explainedVariance", SCORED_RULES, options);
  const { totalSteps, tinit, tfinal, deltaT } = budget;
  const once = tinit === undefined && tfinal === undefined && deltaT === undefined;
  const allocator = new BudgetAllocator(layers, (living) => new ExplainedVarianceRule(living, inputs, orthRegWeight), {
    ...budget,
    ...(once ? { tfinal: totalSteps - 1 } : {}),
  });
  for (const { name, a, e } of layers) {
    if ((await e.value.floats()).some((v) => v !== 0))
      throw new LowrankError(
        "AdapterError",
        `explained variance: ${name} has been trained already; directions are for a fresh adapter`,
      );
    const { directions } = inputs.get(name)!;
    const rows = await a.value.floats();
    rows.set(directions);
    a.parameter.write(toMemory(a.parameter.dtype, rows, "f64"));
  }
  return allocator;
}
