/** Layers, files and counts against what Python's PEFT does. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Conv1D, Embedding, Linear, Module, type Projection } from "@lowrank/nn";
import { fromBytes, grad, init, ops, SafetensorsFile, type Tensor } from "@lowrank/tensor";
import { describe, expect, it } from "vitest";
import {
  adaLoraConfig,
  adapt,
  adapterConfigFile,
  loadAdapter,
  parseAdapterConfig,
  saveAdapter,
  type LoraConfig,
} from "../src/index.ts";
import { MemoryFiles } from "./memory-files.ts";

const folder = resolve(
  import.meta.dirname,
  "../../..",
  process.env["LOWRANK_FIXTURES"] ?? "../shared/fixtures",
  "peft",
);
const here = existsSync(join(folder, "lora_golden.json"));
const read = <T>(name: string): T => JSON.parse(readFileSync(join(folder, name), "utf8")) as T;

interface LayerCase {
  readonly scaling: number;
  readonly y: number[][];
  readonly params: Record<string, unknown>;
  readonly grads: Record<string, unknown>;
  readonly base_weight: number[][];
  readonly merged_weight: number[][];
}

class One extends Module {
  l: Projection;
  constructor(inputs: number, outputs: number, conv: boolean) {
    super();
    this.l = conv ? new Conv1D(inputs, outputs) : new Linear(inputs, outputs);
  }
}

const flat = (x: unknown): number[] => (typeof x === "number" ? [x] : (x as unknown[]).flatMap(flat));
const near = (got: ArrayLike<number>, want: unknown): void =>
  flat(want).forEach((w, i) => expect(Math.abs(got[i]! - w)).toBeLessThanOrEqual(1e-12 * Math.max(1, Math.abs(w))));

describe.skipIf(!here)("layers in f64", () => {
  const cases = here ? Object.entries(read<{ cases: Record<string, LayerCase> }>("lora_golden.json").cases) : [];

  it.each(cases)("%s: forward, gradients, merged weight", async (name, golden) => {
    const device = await init({ device: "reference" });
    const fill = (k: number, shape: readonly number[], factor = 1): Tensor =>
      device.tensor(
        Float64Array.from(
          { length: shape.reduce((a, b) => a * b, 1) },
          (_, i) => factor * Math.sin((i + 1) * 0.7 * k + k),
        ),
        shape,
      );
    const [rows, outputs] = [golden.y.length, golden.y[0]!.length];
    const conv = name.endsWith("conv1d");
    const inputs = conv ? golden.base_weight.length : golden.base_weight[0]!.length;
    const model = new One(inputs, outputs, conv);
    await model.materialize({ device });
    model.l.weight.parameter.write(Float64Array.from(flat(golden.base_weight)));
    model.l.bias!.parameter.write(await fill(2, [outputs], 0.1).floats());
    const shapes = Object.values(golden.params).map((p) => flat(p).length);
    const rank = name.startsWith("adalora")
      ? flat(golden.params[Object.keys(golden.params).find((k) => k.includes("lora_E"))!]!).length
      : shapes[0]! / inputs;
    const alpha = name.startsWith("rslora")
      ? golden.scaling * Math.sqrt(rank)
      : name.startsWith("adalora")
        ? golden.scaling
        : golden.scaling * rank;
    const method: Partial<LoraConfig> = name.startsWith("dora")
      ? { dora: true }
      : name.startsWith("rslora")
        ? { rsLora: true }
        : name.startsWith("adalora")
          ? { adaLora: adaLoraConfig({ initR: rank, targetR: 1, totalStep: 10 }) }
          : {};
    const adapter = await adapt(
      model,
      { r: rank, alpha: Math.round(alpha), targetModules: ["l"], ...method },
      { device },
    );
    const weights = new Map(adapter.layers.get("l")!.namedWeights("base_model.model.l"));
    for (const [key, values] of Object.entries(golden.params))
      weights.get(key)!.parameter.write(Float64Array.from(flat(values)));
    const x = fill(6, [rows, inputs]);
    const y = model.l.forward(x);
    near(await y.floats(), golden.y);
    const keys = Object.keys(golden.grads);
    const grads = grad(
      ops.sum(ops.mul(y, fill(7, [rows, outputs]))),
      keys.map((k) => weights.get(k)!.parameter),
    );
    for (const [i, key] of keys.entries()) near(await grads[i]!.floats(), golden.grads[key]);
    const before = await model.l.weight.value.floats();
    await adapter.merge({ safe: true });
    near(await model.l.weight.value.floats(), golden.merged_weight);
    near(await model.l.forward(x).floats(), golden.y);
    adapter.unmerge();
    expect(await model.l.weight.value.floats()).toEqual(before);
    device.close();
  });
});

/** A tree with the modules a golden adapter names, of the sizes its tensors have. */
function treeFor(file: SafetensorsFile, conv: boolean): Module {
  const root = new (class extends Module {})();
  const shapes = new Map(file.names.map((n) => [n.replace("base_model.model.", ""), file.info(n).shape]));
  const at = (path: string, module: Module): void => {
    const parts = path.split(".");
    let holder: Record<string, unknown> = root as unknown as Record<string, unknown>;
    parts.forEach((part, i) => {
      if (i === parts.length - 1) holder[part] = module;
      else
        holder = (holder[part] ??= /^\d+$/.test(parts[i + 1]!) ? [] : new (class extends Module {})()) as Record<
          string,
          unknown
        >;
    });
  };
  for (const [name, shape] of shapes) {
    const found = /^(.*)\.lora_(embedding_)?A(\.weight)?$/.exec(name);
    if (found !== null) {
      const out =
        shapes.get(name.replace("A", "B"))?.[0] ??
        shapes.get(`${found[1]!}.lora_${found[2] ?? ""}B${found[3] ?? ""}`)![0]!;
      at(
        found[1]!,
        found[2] === undefined
          ? conv
            ? new Conv1D(shape[1]!, out)
            : new Linear(shape[1]!, out)
          : new Embedding(shape[1]!, out),
      );
    } else if (name === "classifier.weight") at("classifier", new Linear(shape[1]!, shape[0]!));
  }
  return root;
}

describe.skipIf(!here)("golden adapter directories", () => {
  const names = here ? readdirSync(join(folder, "adapters")) : [];

  it.each(names)("%s loads, and is saved to the same keys, shapes, dtypes and bytes", async (name) => {
    const bytes = (file: string): Uint8Array => new Uint8Array(readFileSync(join(folder, "adapters", name, file)));
    const files = new MemoryFiles(
      ["adapter_config.json", "adapter_model.safetensors"].map((f) => [f, bytes(f)] as const),
    );
    const golden = await SafetensorsFile.open(fromBytes(bytes("adapter_model.safetensors")));
    const config = JSON.parse(await files.text("adapter_config.json")) as Record<string, unknown>;
    const device = await init({ device: "wasm", threads: 1 });
    const model = treeFor(golden, config["fan_in_fan_out"] === true);
    await model.materialize({ device });
    const adapter = await loadAdapter(model, files, { device });
    const out = new MemoryFiles();
    await saveAdapter(adapter, out);
    const saved = await SafetensorsFile.open(await out.open("adapter_model.safetensors"));
    expect([...saved.names].sort()).toEqual([...golden.names].sort());
    for (const tensor of golden.names)
      expect({ tensor, ...(await saved.read(tensor)) }).toEqual({ tensor, ...(await golden.read(tensor)) });
    // the whole file, its header's order and padding included
    expect(
      out.content.get("adapter_model.safetensors")!.every((byte, i) => byte === bytes("adapter_model.safetensors")[i]),
    ).toBe(true);
    expect(out.content.get("adapter_model.safetensors")).toHaveLength(bytes("adapter_model.safetensors").length);
    const sorted = (o: Record<string, unknown>): Record<string, unknown> => ({
      ...o,
      target_modules: [...(o["target_modules"] as string[])].sort(),
    });
    expect(
      sorted(JSON.parse(JSON.stringify(adapterConfigFile(parseAdapterConfig(config)))) as Record<string, unknown>),
    ).toMatchObject(sorted(config));
    device.close();
  });
});
