/** Models in few bits come back from their files: the same logits, the same bytes, and a config that says which layers are meant. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc, test } from "@fast-check/vitest";
import { Projection } from "@lowrank/nn";
import { quantize } from "@lowrank/quant";
import { init, type Device, type DType } from "@lowrank/tensor";
import { afterAll, beforeAll, expect } from "vitest";
import { architectures, fromPretrained, metaModel, savePretrained, type PretrainedModel } from "../src/index.ts";
import { SMALL, type Sizes } from "./small-models.ts";

let device: Device;
let folder: string;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
  folder = mkdtempSync(join(tmpdir(), "lowrank-quantized-"));
});
afterAll(() => {
  device.close();
  rmSync(folder, { recursive: true, force: true });
});

const sizes: fc.Arbitrary<Sizes> = fc.record({
  vocab: fc.integer({ min: 8, max: 23 }),
  heads: fc.integer({ min: 1, max: 3 }),
  width: fc.constantFrom(2, 4, 6),
  layers: fc.integer({ min: 1, max: 2 }),
  positions: fc.integer({ min: 5, max: 9 }),
});
const form = fc.record({
  format: fc.constantFrom("nf4", "fp4", "int8"),
  doubleQuantization: fc.boolean(),
  blockSize: fc.constantFrom(32, 64),
});

async function hidden(model: PretrainedModel): Promise<ArrayLike<number>> {
  const inputIds = device.tensor([2, 3, 4, 5, 6, 2, 7, 3], [2, 4], "i32");
  const outputs = model.forward({ inputIds });
  const named = ["logits", "startLogits", "lastHiddenState"].find((key) => key in outputs)!;
  return (outputs as unknown as Record<string, { data(): Promise<ArrayLike<number>> }>)[named]!.data();
}

/** Files by name. */
function contentOf(path: string): Map<string, Buffer> {
  return new Map(
    readdirSync(path)
      .sort()
      .map((name) => [name, readFileSync(join(path, name))]),
  );
}

/** `should_convert_module` of transformers 5. */
function converts(skip: readonly string[], path: string): boolean {
  return !skip.some((key) => new RegExp(`^(?:${key})(?:(?<=\\.)|(?=\\.|$))`).test(path) || path.endsWith(key));
}

test.prop(
  [
    fc.constantFrom(...Object.keys(SMALL)),
    sizes,
    form,
    fc.constantFrom<DType>("f32", "f16", "bf16"),
    fc.array(fc.nat(), { maxLength: 3 }),
    fc.constantFrom(undefined, 700, "2KB", 1e6),
    fc.integer({ min: 0, max: 2 ** 31 }),
  ],
  { numRuns: 25 },
)("as they were saved", async (name, s, { format, ...options }, rest, picks, maxShardSize, seed) => {
  const model = metaModel(name, SMALL[name]!(s));
  await model.materialize({ device, seed, storage: () => rest });
  const layers = [...model.namedModules()].flatMap(([path, m]) => (m instanceof Projection ? [path] : []));
  const exclude = [...new Set(picks.map((pick) => new RegExp(`^${layers[pick % layers.length]!}$`)))];
  const chosen = format === "int8" ? { format } : { format, ...options };
  const quantized = await quantize(model, { ...chosen, exclude }).catch((error: Error) => {
    // all that is left may be excluded, or be what is never quantized
    expect(error.message).toMatch(/nothing to quantize|matches only what cannot be quantized/);
    return undefined;
  });
  if (quantized === undefined) return model.dispose();
  const [one, two] = [join(folder, "one"), join(folder, "two")];
  for (const path of [one, two]) rmSync(path, { recursive: true, force: true });

  const shards = maxShardSize === undefined ? {} : { maxShardSize };
  await savePretrained(model, one, shards);
  const kept = new Set(quantized.map(({ path }) => `${path}.weight`));
  const { model: again, report } = await fromPretrained(one, architectures[name]!, {
    device,
    seed: seed + 1,
    storage: () => (weight) => (kept.has(weight) ? undefined : rest),
  });
  expect(report).toEqual({ fresh: [], unused: [], forms: new Map([...kept].map((weight) => [weight, format])) });
  expect(await hidden(again)).toEqual(await hidden(model));
  await savePretrained(again, two, shards);
  expect(contentOf(two)).toEqual(contentOf(one));

  const config = JSON.parse(readFileSync(join(one, "config.json"), "utf8")) as {
    dtype: string;
    quantization_config: { llm_int8_skip_modules: string[] };
  };
  expect(config.dtype).toBe({ f32: "float32", f16: "float16", bf16: "bfloat16" }[rest as string]);
  const { llm_int8_skip_modules: skip } = config.quantization_config;
  for (const path of layers) expect([path, converts(skip, path)]).toEqual([path, kept.has(`${path}.weight`)]);
  // those that are written as numbers are left alone too
  const numbers = quantized.filter((_, i) => (seed >> (i % 31)) % 2 === 1).map(({ path }) => `${path}.weight`);
  if (numbers.length > 0 && numbers.length < kept.size) {
    await savePretrained(model, two, { dequantize: (weight) => (numbers.includes(weight) ? "f32" : undefined) });
    const part = await fromPretrained(two, architectures[name]!, { device });
    expect([...part.report.forms.keys()]).toEqual([...kept].filter((weight) => !numbers.includes(weight)));
    const said = JSON.parse(readFileSync(join(two, "config.json"), "utf8")) as typeof config;
    for (const path of layers)
      expect([path, converts(said.quantization_config.llm_int8_skip_modules, path)]).toEqual([
        path,
        part.report.forms.has(`${path}.weight`),
      ]);
    part.model.dispose();
  }
  // a file is as large as was said, unless one tensor is larger
  const files = readdirSync(one).filter((file) => file.endsWith(".safetensors"));
  expect(files.length > 1).toBe(readdirSync(one).includes("model.safetensors.index.json"));
  if (maxShardSize === 700) expect(files.length).toBeGreaterThan(1);
  model.dispose();
  again.dispose();
});
