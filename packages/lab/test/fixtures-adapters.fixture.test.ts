/**
 * Golden training runs of PEFT's methods: twelve steps, and the files before and after, read and written. Everything is read from the
 * folder's manifest, so another folder with other sizes must pass as well. What is not built is a named skip.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { architectures, directory, fromPretrained, type PretrainedModel } from "@lowrank/models";
import { loadAdapter, resizeAdapter, saveAdapter } from "@lowrank/peft";
import { init, LowrankError, type Device, type Tensor } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  followTrajectory,
  goldenOf,
  misses,
  sameChangedBase,
  withTensors,
  type TrajectoryCase,
} from "./trajectory-case.ts";

const folder = resolve(
  import.meta.dirname,
  "../../..",
  process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures",
  "families",
);
const present = existsSync(join(folder, "manifest.json"));

interface AdapterCase extends TrajectoryCase {
  readonly finalAdapter: string;
  readonly trainable: number;
}

const cases: readonly string[] = present
  ? (
      JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as { cases: { folder: string; kind: string }[] }
    ).cases.flatMap((c) => (c.kind === "trajectory" ? [c.folder] : []))
  : [];
const methods = ["ia3", "vera", "lora", "dora", "adalora"];
const readCase = (name: string): AdapterCase =>
  JSON.parse(readFileSync(join(folder, name, "case.json"), "utf8")) as AdapterCase;
/**
 * Its numbers are not those of its own checkpoint: transformers, given the checkpoint's weights as bitsandbytes dequantizes them, has a loss of
 * 4.7538447 at the first step, as we have, where the case says 4.7633624. What adapters do on four-bit bases is `npm run test:interop`'s.
 */
const OTHER_BASE = "train-llama-qlora-nf4";
/** Right on a base in NF4, which these checkpoints are not: a test of its own (loftq.fixture.test.ts). */
const LOFTQ = "train-bert-loftq";
const chosen = cases.filter((name) => methods.includes(readCase(name).method) && ![OTHER_BASE, LOFTQ].includes(name));

/** A file's bytes by tensor, and its configuration. */
async function contents(where: string): Promise<{ tensors: Map<string, unknown>; config: Record<string, unknown> }> {
  const tensors = await withTensors(join(where, "adapter_model.safetensors"), async (file) => {
    const out = new Map<string, unknown>();
    for (const name of file.names) out.set(name, await file.read(name));
    return out;
  });
  const config = JSON.parse(readFileSync(join(where, "adapter_config.json"), "utf8")) as Record<string, unknown>;
  return { tensors, config };
}

/** Lists of modules have no order, and where the base came from is the machine's. */
const unordered = ({ base_model_name_or_path: _, ...config }: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(
    // PEFT may name a module twice
    Object.entries(config).map(([k, v]) => [k, Array.isArray(v) ? [...new Set(v as string[])].sort() : v]),
  );

it.skipIf(present)("has a fixtures folder (set LOWRANK_FIXTURES)", () => {
  expect(present).toBe(true);
});

describe.each([["reference"], ["wasm"]] as const)("golden adapters on %s", (name) => {
  let device: Device;
  beforeAll(async () => {
    device = await init({ device: name, threads: 1 });
  });
  afterAll(() => device.close());

  it.for(chosen)("%s: every step and the final weights", async (c, { skip }) => {
    const spec = readCase(c);
    try {
      const why = await followTrajectory(join(folder, c), spec, device, async ({ adapter, masks }) => {
        expect(adapter!.report().trainable).toBe(spec.trainable);
        if (masks !== undefined) await resizeAdapter(adapter!, masks);
        const scratch = mkdtempSync(join(tmpdir(), "lowrank-"));
        await saveAdapter(adapter!, directory(scratch), { keepStart: true });
        const [got, want] = [await contents(scratch), await contents(join(folder, c, spec.finalAdapter))];
        rmSync(scratch, { recursive: true });
        expect([...got.tensors.keys()]).toEqual([...want.tensors.keys()]);
        expect(unordered(got.config)).toEqual(unordered(want.config));
      });
      if (why !== undefined) skip(why);
    } catch (error) {
      if (error instanceof LowrankError && error.code === "NotBuiltError") skip(error.message);
      throw error;
    }
  });
});

describe("golden adapter files", () => {
  let device: Device;
  beforeAll(async () => {
    device = await init({ device: "reference" });
  });
  afterAll(() => device.close());

  it.for(chosen.flatMap((c) => ["initial", "final"].map((when) => [c, when] as const)))(
    "%s, %s: the same logits, merged or not, and the same bytes when saved again",
    async ([c, when]) => {
      const spec = readCase(c);
      const where = join(folder, c, when === "initial" ? spec.initialAdapter! : spec.finalAdapter);
      const { model } = await fromPretrained(join(folder, c, spec.checkpoint), architectures[spec.architecture]!, {
        device,
      });
      const adapter = await loadAdapter(model, directory(where), { device });
      expect(adapter.warnings).toEqual([]);
      await withTensors(join(folder, c, "data.safetensors"), async (file) => {
        await sameChangedBase(model, file);
        const inputs: Record<string, Tensor> = {};
        for (const key of file.names.filter((n) => n.startsWith("batch.0."))) {
          const { data, shape } = await file.read(key);
          const short = key.slice("batch.0.".length).replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
          inputs[short] = device.tensor(data, shape, "i32");
        }
        const logits = async (): Promise<Float64Array> => {
          const out = model.forward(inputs as unknown as Parameters<PretrainedModel["forward"]>[0]);
          return (out as { logits: Tensor }).logits.floats();
        };
        const want = await goldenOf(file, `eval-${when}.logits`);
        const before = await logits();
        expect(misses(before, want, 1e-9, 1e-12)).toBe(0);
        if (c.includes("tied-embed")) return expect(adapter.merge()).rejects.toThrow(/shares its weight with lm_head/);
        await adapter.merge({ safe: true });
        // sums in another order
        expect(misses(await logits(), want, 1e-9, 1e-12)).toBe(0);
        adapter.unmerge();
        expect(await logits()).toEqual(before);
      });
      const scratch = mkdtempSync(join(tmpdir(), "lowrank-"));
      await saveAdapter(adapter, directory(scratch), { keepStart: true });
      const [got, wanted] = [await contents(scratch), await contents(where)];
      const bytes = readFileSync(join(scratch, "adapter_model.safetensors"));
      rmSync(scratch, { recursive: true });
      expect(bytes.equals(readFileSync(join(where, "adapter_model.safetensors")))).toBe(true);
      expect(unordered(got.config)).toEqual(unordered(wanted.config));
      model.dispose();
    },
  );
});
