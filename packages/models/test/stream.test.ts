/** The residual stream of every family: in full width under mixed precision, whatever tables are stored in; in half where a policy says so. */
import { compile, grad, init, mixedBf16, mixedF16, withPrecision, type Device, type DTypeTrace } from "@lowrank/tensor";
import { gradientCheckpointing } from "@lowrank/nn";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { metaModel, type LlamaForCausalLM, type LlamaModel, type PretrainedModel } from "../src/index.ts";
import { SMALL } from "./small-models.ts";

let device: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
});
afterAll(() => device.close());

const SIZES = { vocab: 23, heads: 2, width: 6, layers: 2, positions: 16 };
const NAMES = Object.keys(SMALL).filter((name) => /ForSequenceClassification$|ForCausalLM$|LMHeadModel$/.test(name));

/** What a training step of the model computes, all of its matrices kept in half precision. */
async function traceOf(
  name: string,
  policy: typeof mixedF16 | undefined,
  prepare: (model: PretrainedModel) => void = () => undefined,
): Promise<DTypeTrace> {
  const model = metaModel(name, SMALL[name]!(SIZES));
  await model.materialize({
    device,
    seed: 3,
    storage: (path) => (/norm/i.test(path) || path.endsWith("bias") ? undefined : "f16"),
  });
  prepare(model);
  const ids = { shape: [2, 5], dtype: "i32" } as const;
  const labels = name.includes("SequenceClassification") ? ({ shape: [2], dtype: "i32" } as const) : ids;
  const trained = [...model.namedWeights()].flatMap(([, w]) => (w.parameter.dtype === "f32" ? [w.parameter] : []));
  const step = compile(device, (inputs) => {
    const { loss } = withPrecision(policy, () => model.forward(inputs as never)) as never as {
      loss: Parameters<typeof grad>[0];
    };
    return Object.fromEntries([loss, ...grad(loss, trained)].map((x, i) => [`r${i}`, x]));
  });
  const { dtypes } = step.plan({ inputIds: ids, labels });
  model.dispose();
  return dtypes;
}

describe.each(NAMES)("%s", (name) => {
  it.each([mixedF16, mixedBf16])("adds what blocks make up in f32 under $name, products in half", async (policy) => {
    for (const prepare of [() => undefined, gradientCheckpointing]) {
      const { norms, products, reductions } = await traceOf(name, policy, prepare);
      // both halves of two blocks end or begin with such a sum
      expect(Object.keys(norms.sums)).toEqual(["f32"]);
      expect(norms.sums.f32).toBeGreaterThanOrEqual(3);
      for (const half of ["f16", "bf16"]) expect(Object.keys(reductions)).not.toContain(half);
      expect(products.some(({ operands }) => operands.every((dtype) => dtype === policy.compute))).toBe(true);
    }
  });

  it("adds them up in half where the policy says so", async () => {
    const { norms } = await traceOf(name, { ...mixedF16, stream: "compute" });
    // tables that are added up before the first block are no part of it
    expect(norms.sums.f16).toBeGreaterThanOrEqual(3);
  });
});

it("a stream that grows beyond half precision survives mixed-f16, and is lost where it is half itself", async () => {
  const model = metaModel("LlamaForCausalLM", SMALL["LlamaForCausalLM"]!(SIZES)) as LlamaForCausalLM;
  await model.materialize({ device, seed: 3 });
  // rows near the end of half precision, to which the first block adds ten thousand
  const { embed_tokens: table, layers } = model.model as LlamaModel;
  table.weight.parameter.write(Float32Array.from({ length: table.weight.size }, (_, i) => (i % 3 === 0 ? -6e4 : 6e4)));
  const { parameter } = layers[0]!.mlp.down_proj.weight;
  parameter.write((await parameter.data()).map((v) => 4e4 * v));
  const ids = device.tensor([2, 5, 7, 9, 3], [1, 5], "i32");
  const run = (policy?: typeof mixedF16) =>
    withPrecision(policy, () => model.forward({ inputIds: ids, labels: ids } as never)) as never as {
      loss: { item(): Promise<number> };
      hiddenStates: readonly { floats(): Promise<Float64Array> }[];
    };
  const most = (values: Float64Array): number => values.reduce((a, v) => Math.max(a, Math.abs(v)), 0);
  const [full, mixed, half] = [run(), run(mixedF16), run({ ...mixedF16, stream: "compute" })];
  expect(most(await full.hiddenStates[1]!.floats())).toBeGreaterThan(65_504);
  const [wanted, got] = [await full.loss.item(), await mixed.loss.item()];
  // products of two blocks and a head, rounded to eleven bits each
  expect(Math.abs(got - wanted)).toBeLessThan(16 * 2 ** -11 * wanted);
  expect(await half.loss.item()).toBeNaN();
  model.dispose();
});
