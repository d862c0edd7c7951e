/** A compiled function computes what its model computes now, whatever was done to the model since it was captured. */
import { fc, it as prop } from "@fast-check/vitest";
import { Rngs, Linear, Module } from "@lowrank/nn";
import { quantize } from "@lowrank/quant";
import { compile, grad, init, mixedBf16, ops, withPrecision, type Device, type Tensor } from "@lowrank/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { activate, adapt, type Adapter } from "../src/index.ts";
import { enlarge, random, stir } from "./helpers.ts";

class Two extends Module {
  first: Linear = new Linear(64, 64);
  second: Linear = new Linear(64, 8);
  forward(x: Tensor): Tensor {
    return this.second.forward(ops.tanh(this.first.forward(x)));
  }
}

interface Scene {
  readonly device: Device;
  readonly model: Two;
  readonly adapters: Map<string, Adapter>;
  made: number;
}

const any = (scene: Scene): Adapter | undefined =>
  [...scene.adapters.values()][scene.made % Math.max(1, scene.adapters.size)];

/** What can be done to a model with adapters. Those that do not apply just now do nothing. */
const ACTIONS: Record<string, (scene: Scene) => unknown> = {
  merge: (s) => any(s)?.merge(),
  unmerge: (s) => any(s)?.unmerge(),
  scale: (s) => any(s)?.scaleBy(1.5),
  disable: (s) => any(s)?.disable(),
  enable: (s) => any(s)?.enable(),
  activateOne: (s) => s.adapters.size > 0 && activate(s.model, any(s)!.name),
  activateAll: (s) => s.adapters.size > 0 && activate(s.model, ...s.adapters.keys()),
  async delete(s) {
    const gone = any(s);
    if (gone === undefined) return;
    await gone.delete();
    s.adapters.delete(gone.name);
  },
  async unload(s) {
    await any(s)?.mergeAndUnload();
    s.adapters.clear();
  },
  async adapt(s) {
    const name = `a${s.made++}`;
    const adapter = await adapt(
      s.model,
      { r: 2, alpha: 4, targetModules: ["first", "second"], dora: s.made % 3 === 0 },
      { device: s.device, name, seed: s.made },
    );
    stir(adapter, s.made);
    s.adapters.set(name, adapter);
  },
  async saved(s) {
    const name = `s${s.made++}`;
    const adapter = await adapt(
      s.model,
      { r: 2, alpha: 4, targetModules: ["first"], modulesToSave: ["second"] },
      { device: s.device, name, seed: s.made },
    );
    stir(adapter, s.made);
    s.adapters.set(name, adapter);
  },
};

describe("a compiled forward pass", () => {
  let device: Device;
  beforeAll(async () => {
    device = await init({ device: "interpreter" });
  });
  afterAll(() => device.close());
  const x = random(3 * 64, 3);
  const host = { data: Float32Array.from(x), shape: [3, 64] };

  prop.prop([fc.array(fc.constantFrom(...Object.keys(ACTIONS)), { minLength: 1, maxLength: 8 })], { numRuns: 15 })(
    "follows its model through adapters, merges and switches",
    async (names) => {
      const scene: Scene = { device, model: new Two(), adapters: new Map(), made: 0 };
      await scene.model.materialize({ device });
      enlarge(scene.model.weights(), 0.2);
      const f = compile(device, (inputs) => ({ y: scene.model.forward(inputs["x"]!) }));
      const check = async (): Promise<void> => {
        const want = await scene.model.forward(device.tensor(host.data, host.shape)).floats();
        for (let i = 0; i < 2; i++) expect([...(await (await f({ x: host })).y.floats())]).toEqual([...want]);
      };
      await ACTIONS["adapt"]!(scene);
      await check();
      await check();
      for (const name of names) {
        // what is refused changes nothing
        await (async () => ACTIONS[name]!(scene))().catch(() => undefined);
        await check();
      }
      scene.model.dispose();
    },
  );

  it("follows quantization and the precision policy", async () => {
    const model = new Two();
    await model.materialize({ device });
    enlarge(model.weights(), 0.2);
    const f = compile(device, (inputs) => ({ y: model.forward(inputs["x"]!) }));
    const eager = (): Promise<Float64Array> =>
      ops.cast(model.forward(device.tensor(host.data, host.shape)), "f32").floats();
    const captured = async (): Promise<Float64Array> => ops.cast((await f({ x: host })).y, "f32").floats();
    for (let i = 0; i < 3; i++) expect(await captured()).toEqual(await eager());
    const narrow = await withPrecision(mixedBf16, () => captured());
    expect(narrow).toEqual(await withPrecision(mixedBf16, () => eager()));
    expect(narrow).not.toEqual(await captured());
    await quantize(model, { format: "nf4" });
    for (let i = 0; i < 3; i++) expect(await captured()).toEqual(await eager());
  });

  it("follows train and eval, freezing and whole modules", async () => {
    const model = new Two();
    await model.materialize({ device });
    enlarge(model.weights(), 0.2);
    const keys = new Rngs(device, 1);
    const seen: string[] = [];
    const f = compile(device, (inputs) => {
      seen.push(model.training ? "train" : "eval");
      const y = model.forward(inputs["x"]!);
      return {
        y,
        ...Object.fromEntries(
          grad(
            ops.sum(y),
            model.trainableWeights().map((w) => w.parameter),
          ).map((g, i) => [`g${i}`, g]),
        ),
      };
    });
    const keysOf = async (): Promise<string[]> => Object.keys(await f({ x: host }));
    for (let i = 0; i < 3; i++) expect(await keysOf()).toEqual(["y", "g0", "g1", "g2", "g3"]);
    model.freeze("first");
    for (let i = 0; i < 3; i++) expect(await keysOf()).toEqual(["y", "g0", "g1"]);
    model.train(keys);
    for (let i = 0; i < 3; i++) await f({ x: host });
    model.train(keys);
    await f({ x: host });
    model.eval();
    for (let i = 0; i < 3; i++) await f({ x: host });
    // traced anew after each change, twice where the graph was another, and not at all where nothing changed
    expect(seen).toEqual(["eval", "eval", "eval", "eval", "train", "eval"]);
    const other = new Linear(64, 64);
    await other.materialize({ device, seed: 9 });
    model.setModule("first", other);
    expect(await (await f({ x: host })).y.floats()).toEqual(
      await model.forward(device.tensor(host.data, host.shape)).floats(),
    );
  });
});
