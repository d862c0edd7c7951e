/** Adapters in the form that mlx-lm writes. */
import { Linear, Module, type Projection } from "@lowrank/nn";
import { init, serialize, type StoredTensor } from "@lowrank/tensor";
import { expect, it } from "vitest";
import { dora, loadMlxAdapter, lora, type DoraUpdate } from "../src/index.ts";
import { random } from "./helpers.ts";
import { MemoryFiles } from "./memory-files.ts";

class Body extends Module {
  up: Projection = new Linear(6, 12);
}
class Model extends Module {
  transformer: Body = new Body();
}

const [a, b, m] = [
  Float32Array.from(random(12, 1)),
  Float32Array.from(random(24, 2)),
  Float32Array.from(random(12, 3)),
];

function folder(type: string, module: string): MemoryFiles {
  const tensors: Record<string, StoredTensor> = {
    [`${module}.lora_a`]: { dtype: "f32", shape: [6, 2], data: a },
    [`${module}.lora_b`]: { dtype: "f32", shape: [2, 12], data: b },
  };
  if (type === "dora") tensors[`${module}.m`] = { dtype: "f32", shape: [12], data: m };
  return new MemoryFiles([
    [
      "adapter_config.json",
      new TextEncoder().encode(
        JSON.stringify({ fine_tune_type: type, num_layers: 1, lora_parameters: { rank: 2, scale: 5, dropout: 0 } }),
      ),
    ],
    ["adapters.safetensors", serialize(tensors)],
  ]);
}

it.each([["lora"], ["dora"]])(
  "%s: transposed factors, an absolute scale, GPT-2's other name for its body",
  async (type) => {
    const device = await init({ device: "reference" });
    for (const module of ["model.up", "transformer.up"]) {
      const model = new Model();
      await model.materialize({ device });
      const adapter = await loadMlxAdapter(model, folder(type, module), { device });
      expect([adapter.configOf(type === "dora" ? dora : lora)!.alpha, adapter.table[0]!.scale]).toEqual([10, 5]);
      const delta = await adapter.layers.get("transformer.up")!.delta().floats();
      for (let o = 0; o < 12; o++)
        for (let i = 0; i < 6; i++)
          expect(delta[o * 6 + i]).toBeCloseTo(5 * (a[i * 2]! * b[o]! + a[i * 2 + 1]! * b[12 + o]!), 12);
      if (type === "dora")
        expect(await (adapter.updates.get("transformer.up") as DoraUpdate).magnitude.value.floats()).toEqual(
          Float64Array.from(m),
        );
    }
    device.close();
  },
);

it("names what does not fit", async () => {
  const device = await init({ device: "reference" });
  const model = new Model();
  await model.materialize({ device });
  await expect(loadMlxAdapter(model, folder("lora", "model.down"), { device })).rejects.toThrow(
    "names model.down, which the model does not have; near it: transformer.up",
  );
  await expect(loadMlxAdapter(model, folder("full", "model.up"), { device })).rejects.toThrow(
    'fine_tune_type "full" is not built',
  );
  await expect(loadMlxAdapter(model, new MemoryFiles(), { device })).rejects.toThrow("there is no adapter_config.json");
  const config = (text: string): MemoryFiles =>
    new MemoryFiles([...folder("dora", "model.up").content, ["adapter_config.json", new TextEncoder().encode(text)]]);
  // a magnitude is a part of the function
  await expect(loadMlxAdapter(model, config('{"fine_tune_type": "lora"}'), { device })).rejects.toThrow(
    'says fine_tune_type "lora", and adapters.safetensors holds magnitudes (model.up.m)',
  );
  await expect(loadMlxAdapter(model, config("null"), { device })).rejects.toThrow("must be an object");
  await expect(loadMlxAdapter(model, config('{"peft_type": "LORA"}'), { device })).rejects.toThrow(
    "it is PEFT's; read it with loadAdapter",
  );
  await expect(loadMlxAdapter(model, config('{"lora_parameters": {"rank": "2"}}'), { device })).rejects.toThrow(
    '"lora_parameters.rank" must be a positive whole number',
  );
  await expect(loadMlxAdapter(model, config('{"__proto__": {}}'), { device })).rejects.toThrow('"__proto__" is no key');
  expect([...model.namedModules()].some(([path]) => path.endsWith("base"))).toBe(false);
  device.close();
});
