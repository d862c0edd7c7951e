/** Which answers of question answering count: transformers' rule, and what it would pass over in silence. */
import { init, type Device } from "@lowrank/tensor";
import { afterAll, beforeAll, expect, it } from "vitest";
import { metaModel, type PretrainedModel } from "../src/index.ts";
import { SMALL } from "./small-models.ts";

let device: Device;
let model: PretrainedModel;
beforeAll(async () => {
  device = await init({ device: "reference" });
  model = metaModel(
    "BertForQuestionAnswering",
    SMALL["BertForQuestionAnswering"]!({ vocab: 19, heads: 2, width: 4, layers: 1, positions: 8 }),
  );
  await model.materialize({ device, seed: 1 });
  model.eval();
});
afterAll(() => device.close());

function loss(start: number[], end: number[]): Promise<number> {
  const positions = (at: number[]): unknown => device.tensor(Int32Array.from(at));
  const inputIds = device.tensor(
    Int32Array.from({ length: 2 * 5 }, (_, i) => 2 + i),
    [2, 5],
  );
  return (
    model.forward({ inputIds, startPositions: positions(start), endPositions: positions(end) } as never) as {
      loss: { item(): Promise<number> };
    }
  ).loss.item();
}

it("positions at or beyond the length, and -100, count for nothing", async () => {
  const first = await loss([1, -100], [4, -100]);
  expect(Number.isFinite(first)).toBe(true);
  for (const beyond of [5, 6, 512]) expect(await loss([1, beyond], [4, beyond])).toBe(first);
  expect(await loss([1, 0], [4, 0])).not.toBe(first);
});

it("other negative positions are an error that names the row", async () => {
  await expect(loss([1, -1], [4, 2])).rejects.toThrow(
    "BertForQuestionAnswering: start position -1 in row 1 of a host tensor [2] is negative; -100 is ignored",
  );
  await expect(loss([1, 1], [-2, 2])).rejects.toThrow("end position -2 in row 0");
});
