/** A method of somebody else's: one record is enough for options, files, several adapters, merging and counts. */
import { Linear, Module, Weight } from "@lowrank/nn";
import { init, ops, type Tensor } from "@lowrank/tensor";
import { absent, checkOptions, fields, optional, real } from "@lowrank/tensor/check";
import { expect, it } from "vitest";
import {
  adapt,
  attach,
  adapterConfig,
  COMMON_RULES,
  commonConfig,
  loadAdapter,
  lora,
  parseAdapterConfig,
  registerMethod,
  saveAdapter,
  Update,
  type AdapterConfig,
  type Method,
  type NamedUpdateWeight,
  type OptionsOf,
  type UpdateBase,
} from "../src/index.ts";
import { input, stir } from "./helpers.ts";
import { MemoryFiles } from "./memory-files.ts";
import { Toy } from "./toy.ts";

/** y + strength·shift: a trained vector behind each layer. */
class ShiftUpdate extends Update {
  readonly kind = "shift";
  readonly shift: Weight;
  readonly strength: number;
  constructor(base: UpdateBase, strength: number) {
    super(base);
    this.shift = new Weight([base.outFeatures], { kind: "zeros" });
    this.strength = strength;
  }
  get weights(): readonly NamedUpdateWeight[] {
    return [{ memory: "shift.{}", file: "shift", weight: this.shift }];
  }
  forward(_x: Tensor, y: Tensor): Tensor {
    return ops.add(y, ops.mul(this.shift.value, this.strength));
  }
  mergedInto(matrix: Tensor): Tensor {
    return matrix;
  }
  override get changesBias(): boolean {
    return true;
  }
  override mergedBias(bias: Tensor): Tensor {
    return ops.add(bias, ops.mul(this.shift.value, this.strength));
  }
}

interface ShiftConfig extends AdapterConfig {
  readonly strength: number;
}
const RULES = fields<Pick<OptionsOf<ShiftConfig>, "strength" | keyof typeof COMMON_RULES>>({
  ...COMMON_RULES,
  strength: optional(real()),
});
const config = (options: OptionsOf<ShiftConfig>): ShiftConfig => {
  const given = checkOptions("shift", RULES, options);
  return { strength: 1, ...given, ...commonConfig(shift, given as Partial<AdapterConfig>) };
};
const shift: Method<ShiftConfig> = {
  name: "shift",
  label: "Shift",
  peftType: "SHIFT",
  file: { className: "ShiftConfig", rules: { strength: absent(real()) }, notBuilt: [], harmless: [] },
  tensors: /\.shift$/,
  targets: "lora",
  cutsVocabulary: false,
  defaults: config,
  parse: (file: { strength?: number }, common) => config({ ...common, strength: file.strength ?? 1 }),
  write: ({ strength }) => ({ strength }),
  resolve: (chosen) =>
    chosen.map(({ path: module, inFeatures, outFeatures }) => ({
      module,
      inFeatures,
      outFeatures,
      parameters: outFeatures,
    })),
  make:
    ({ strength }) =>
    (_, layer) =>
      new ShiftUpdate(layer.site, strength),
};

it("a registered method is named in options, read from files, merged and counted", async () => {
  const device = await init({ device: "reference" });
  const toy = async (): Promise<Toy> => {
    const model = new Toy(3);
    await model.materialize({ device, seed: 1 });
    return model;
  };
  const [model, other] = [await toy(), await toy()];
  expect(() => parseAdapterConfig({ peft_type: "SHIFT" })).toThrow('peft_type "SHIFT" is not built; there are LORA,');
  // by its record alone, before anybody has registered it
  attach(new Toy(3), { method: shift, targetModules: ["up"], strength: 2 });
  registerMethod(shift);
  registerMethod(shift);
  const adapter = await adapt(model, { method: shift, targetModules: ["up"], strength: 2 }, { device });
  expect(adapter.report().trainable).toBe(2 * 6);
  stir(adapter, 3);
  const x = input(device, 2, 3);
  const before = await model.forward(x).floats();
  await adapter.merge();
  (await model.forward(x).floats()).forEach((v, i) => expect(v).toBeCloseTo(before[i]!, 12));
  const files = new MemoryFiles();
  await saveAdapter(adapter, files);
  expect(JSON.parse(await files.text("adapter_config.json"))).toMatchObject({ peft_type: "SHIFT", strength: 2 });
  const loaded = await loadAdapter(other, files, { device });
  expect(loaded.configOf(shift)?.strength).toBe(2);
  expect(loaded.configOf(lora)).toBeUndefined();
  (await other.forward(x).floats()).forEach((v, i) => expect(v).toBeCloseTo(before[i]!, 6));
  expect(() => adapterConfig({ method: "shfit" })).toThrow('there is no adapter method "shfit"; did you mean "shift"?');
  device.close();
});

it("merging names the method that would change a bias that is not there", async () => {
  class Bare extends Module {
    readonly up = new Linear(3, 2, { bias: false });
  }
  const device = await init({ device: "reference" });
  const model = new Bare();
  await model.materialize({ device, seed: 1 });
  const adapter = await adapt(model, { method: shift, targetModules: ["up"] }, { device });
  await expect(adapter.merge()).rejects.toThrow(
    "merge: up.weight has no bias beside it, and shift would change one; use the adapter unmerged",
  );
  device.close();
});

it("names and files that are taken are refused", () => {
  expect(() => registerMethod({ ...shift, name: "lora" })).toThrow('there is a method "lora" already');
  expect(() => registerMethod({ ...shift, name: "mine", peftType: "LORA" })).toThrow(
    `files with peft_type "LORA" are LoRA's; give "mine" a peftType of its own, or say with "claims" which of these are its`,
  );
});

it("options that ask for two methods are refused", () => {
  expect(() => adapterConfig({ method: "lora", dora: true })).toThrow(
    'the options name method "lora" and are DoRA\'s; choose one of the two',
  );
  expect(() => adapterConfig({ method: "adalora" })).toThrow("AdaLoRA: its schedule must be given");
  expect(() => adapterConfig({ method: "dora", dora: false })).toThrow(
    'the options name method "dora" and say dora: false; leave dora out, or name method "lora"',
  );
  expect(adapterConfig({ dora: false }).method.name).toBe("lora");
  expect(adapterConfig({ dora: true }).method.name).toBe("dora");
  expect(adapterConfig(adapterConfig({ r: 3 }))).toEqual(adapterConfig({ r: 3 }));
  for (const method of ["ia3", "vera", "dora"])
    expect(adapterConfig(adapterConfig({ method, targetModules: ["up"] }))).toEqual(
      adapterConfig({ method, targetModules: ["up"] }),
    );
});
