/** What a comparison with another program brings along: an order of rows, and the values that weights begin with. */
import { init } from "@lowrank/tensor";
import { expect, it } from "vitest";
import { loadStudy, plannedRuns } from "../src/config/load.ts";
import { methods } from "../src/methods/registry.ts";
import { metricsOf, prepareTask, taskOf } from "../src/tasks/prepare.ts";
import { adaptAndProve } from "../src/train/start.ts";
import { trainerOf, type Workload } from "../src/train/train.ts";

it("an order and initial values from outside are those that a run has", async () => {
  const device = await init({ device: "reference" });
  const set = [
    "task={name: planted-rank, train: 12, dev: 4, length: 6, ranks: {query: 1}}",
    "model={hidden: 8, layers: 1, heads: 2, intermediate: 8}",
    "train={epochs: 2, batchSize: 4}",
    "configs={lora: {method: lora, r: 1, target: [query]}}",
  ];
  const [run] = plannedRuns(await loadStudy("planted", { set, seeds: [1] }));
  const { config } = run!;
  const data = await prepareTask(config, { dataFolder: "", cacheFolder: "" }, device);
  const passes = [
    [Int32Array.of(0, 1, 2), Int32Array.of(3, 4, 5, 6), Int32Array.of(11, 7, 8)],
    [Int32Array.of(9, 10), Int32Array.of(0, 4, 8), Int32Array.of(1)],
  ];
  const order = { batches: 3, rows: () => 4, pass: (epoch: number) => passes[epoch]! };
  const name = "bert.encoder.layer.0.attention.self.query.lora_A.default.weight";
  const work = (initial: Workload["initial"]): Workload => ({
    task: taskOf(config),
    data,
    metrics: metricsOf(config),
    method: methods.get("lora"),
    order,
    ...(initial === undefined ? {} : { initial }),
  });
  const adapt = async (initial: Workload["initial"]) => {
    const base = await data.base(1);
    const request = { ...run!, id: "", cell: "", name: "", study: "" };
    const folder = { event: () => undefined } as never;
    return adaptAndProve(request, work(initial), { base, fullLogits: undefined }, { folder });
  };
  const values = Float64Array.from({ length: 8 }, (_, i) => i / 8);
  const { adapted } = await adapt(new Map([[name, values]]));
  expect(await adapted.trainable.find((weight) => weight.name === name)!.weight.value.floats()).toEqual(values);
  const trainer = trainerOf(run!, work(undefined), adapted, device);
  for (const group of passes.flat())
    expect(trainer.cursor.next().flatMap(({ members }) => [...members])).toEqual([...group]);
  await expect(adapt(new Map([[name.replace("query", "qurey"), values]]))).rejects.toThrow(
    /no weight of this name trains/,
  );
  await expect(adapt(new Map([[name, values.slice(1)]]))).rejects.toThrow(/7 for the 8 that it has/);
  device.close();
});
