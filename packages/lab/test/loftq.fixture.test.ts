/**
 * Training on what LoftQ left of a base, beside PEFT: twelve steps. The start itself is not compared here: the case's base is not what PEFT's
 * `loftq_init` makes of the case's own checkpoint (bitsandbytes 0.50.2, CPU); ours differs from the case by the same numbers as that does.
 */
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { init, serialize, type StoredTensor } from "@lowrank/tensor";
import { expect, it } from "vitest";
import { followTrajectory, withTensors, type TrajectoryCase } from "./trajectory-case.ts";

const folder = resolve(
  import.meta.dirname,
  "../../..",
  process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures",
  "families/train-bert-loftq",
);
const present = existsSync(join(folder, "case.json"));

const spec = (): TrajectoryCase => JSON.parse(readFileSync(join(folder, "case.json"), "utf8")) as TrajectoryCase;

it.skipIf(present)("has a fixtures folder (set LOWRANK_FIXTURES)", () => {
  expect(present).toBe(true);
});

it.skipIf(!present)("trains as PEFT does on what it left", async () => {
  const scratch = mkdtempSync(join(tmpdir(), "lowrank-loftq-"));
  cpSync(folder, scratch, { recursive: true });
  // the base that is left, as a checkpoint; the adapter is a plain one on it
  const tensors = new Map<string, StoredTensor>();
  await withTensors(join(folder, "data.safetensors"), (file) =>
    withTensors(join(folder, "checkpoint/model.safetensors"), async (checkpoint) => {
      for (const name of checkpoint.names)
        tensors.set(
          name,
          await (file.has(`base-initial.${name}`) ? file : checkpoint).read(
            file.has(`base-initial.${name}`) ? `base-initial.${name}` : name,
          ),
        );
    }),
  );
  rmSync(join(scratch, "checkpoint/model.safetensors"), { force: true });
  writeFileSync(join(scratch, "checkpoint/model.safetensors"), serialize(tensors));
  const path = join(scratch, spec().initialAdapter!, "adapter_config.json");
  const config = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  rmSync(path, { force: true });
  writeFileSync(path, JSON.stringify({ ...config, init_lora_weights: true }));
  const device = await init({ device: "reference" });
  expect(await followTrajectory(scratch, spec(), device)).toBeUndefined();
  device.close();
  rmSync(scratch, { recursive: true, force: true });
});
