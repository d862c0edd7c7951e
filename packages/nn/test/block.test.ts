/** Recomputation changes when things are computed, never what. */
import { compile, init, ops, type Tensor } from "@lowrank/tensor";
import { expect, it } from "vitest";
import { AdamW, Block, Dropout, Rngs, grad, Linear, Module, gradientCheckpointing } from "../src/index.ts";

class Part extends Block {
  readonly wide: Linear = new Linear(8, 32);
  readonly narrow: Linear = new Linear(32, 8);
  readonly dropout: Dropout = new Dropout(0.2);

  forward(x: Tensor): Tensor {
    return this.run(x, (input) =>
      ops.add(input, this.dropout.forward(this.narrow.forward(ops.gelu(this.wide.forward(input))))),
    );
  }
}

class Deep extends Module {
  readonly layer: Part[] = Array.from({ length: 16 }, () => new Part());

  forward(x: Tensor): Tensor {
    return this.layer.reduce((y, part) => part.forward(y), x);
  }
}

async function trained(
  recompute: boolean,
  deviceName: "wasm" | "reference",
): Promise<{ losses: number[]; arena: number }> {
  const device = await init({ device: deviceName, threads: 1 });
  const model = new Deep();
  await model.materialize({ device, seed: 3 });
  // the first layer is frozen, as a base under adapters is
  model.freeze("layer.0");
  model.train(new Rngs(device, 5));
  if (recompute) gradientCheckpointing(model);
  const optimizer = new AdamW(model.trainableWeights(), { lr: 1e-2 });
  const step = compile(device, ({ x }) => {
    model.rngs!.restart();
    const y = model.forward(x!);
    const loss = ops.mean(ops.mul(y, y));
    optimizer.step(grad(loss, optimizer.parameters));
    return { loss };
  });
  const losses: number[] = [];
  for (let i = 0; i < 5; i++)
    losses.push(
      await (
        await step({ x: { data: Float32Array.from({ length: 64 * 8 }, (_, k) => Math.sin(k + i)), shape: [64, 8] } })
      ).loss.item(),
    );
  const { arena } = device.memory();
  device.close();
  return { losses, arena };
}

it.each(["wasm", "reference"] as const)(
  "trains to the same bits with recomputation on %s, dropout included",
  async (device) => {
    const [kept, again] = [await trained(false, device), await trained(true, device)];
    expect(new Set(kept.losses).size).toBe(5);
    expect(again.losses).toEqual(kept.losses);
    // sixteen blocks keep rows of 2·32 + 8 each; recomputed, one block's and sixteen inputs of 8
    if (device === "wasm") expect(again.arena).toBeLessThan(0.5 * kept.arena);
  },
);

it("a model without blocks says so", () => {
  expect(() => gradientCheckpointing(new Linear(2, 2))).toThrow("no blocks to recompute");
});
