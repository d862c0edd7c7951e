/** EVA beside PEFT's: on the same batches the same ranks, and the same directions. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { architectures, fromPretrained } from "@lowrank/models";
import { evaShares } from "@lowrank/peft";
import { init, ops, type Tensor } from "@lowrank/tensor";
import { expect, it } from "vitest";
import { goldenOf, withTensors } from "./trajectory-case.ts";

const folder = resolve(
  import.meta.dirname,
  "../../..",
  process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures",
  "families/train-bert-eva",
);
const present = existsSync(join(folder, "case.json"));

interface Case {
  readonly architecture: string;
  readonly checkpoint: string;
  readonly evaBatches: number;
  readonly adapterConfig: { readonly eva_config: { readonly rho: number } };
  readonly eva: { readonly ranksBefore: Record<string, number>; readonly ranks: Record<string, number> };
}

/** PEFT stops where a direction turns by less than cos⁻¹ 0.99 from one batch to the next (`tau`), before it stands still. */
const TURN = 0.98;

it.skipIf(present)("has a fixtures folder (set LOWRANK_FIXTURES)", () => {
  expect(present).toBe(true);
});

it.skipIf(!present)("shares ranks out as PEFT does, and finds its directions", async () => {
  const spec = JSON.parse(readFileSync(join(folder, "case.json"), "utf8")) as Case;
  const device = await init({ device: "reference" });
  const plain = (name: string): string => name.replace("base_model.model.", "");
  const { model } = await fromPretrained(join(folder, spec.checkpoint), architectures[spec.architecture]!, { device });
  model.eval();
  await withTensors(join(folder, "data.safetensors"), async (file) => {
    const read = async (name: string): Promise<Tensor> => {
      const { data, shape } = await file.read(name);
      return device.tensor(data, shape, "i32");
    };
    const batches: { ids: Tensor; mask: Tensor }[] = [];
    for (let i = 0; i < spec.evaBatches; i++)
      batches.push({
        ids: await read(`eva.batch.${i}.input_ids`),
        mask: await read(`eva.batch.${i}.attention_mask`),
      });
    const modules = Object.entries(spec.eva.ranksBefore).map(([name, rank]) => ({ name: plain(name), rank }));
    const shares = await evaShares(model, modules, device, {
      rho: spec.adapterConfig.eva_config.rho,
      batches,
      forward({ ids, mask }) {
        model.forward({ inputIds: ids, attentionMask: mask } as never);
        return ops.gt(ops.reshape(mask, [-1]), 0);
      },
    });
    const want = Object.fromEntries(Object.entries(spec.eva.ranks).map(([name, rank]) => [plain(name), rank]));
    expect(Object.fromEntries([...shares].map(([name, { rank }]) => [name, rank]))).toEqual(want);
    for (const [name, { rank, directions }] of shares) {
      const theirs = await goldenOf(file, `initial.base_model.model.${name}.lora_A.default.weight`);
      const width = theirs.length / rank;
      for (let k = 0; k < rank; k++) {
        // signs are free, and directions of nearly equal variance turn into one another: theirs lies in ours
        let inside = 0;
        for (let j = 0; j < rank; j++) {
          let dot = 0;
          for (let i = 0; i < width; i++) dot += theirs[k * width + i]! * directions[j * width + i]!;
          inside += dot * dot;
        }
        expect(Math.sqrt(inside), `direction ${k} of ${name}`).toBeGreaterThan(TURN);
      }
    }
  });
  model.dispose();
  device.close();
});
