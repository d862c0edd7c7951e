/** Memory of constants goes with the last that refers to them. A file of its own: Dawn, the WebGPU of Node, does not survive a collection of closed devices. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, it } from "vitest";
import { init, ops } from "../src/index.ts";

const SIZE = 1000;

it("a constant is freed once nothing refers to it any more", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const device = await init({ device: "wasm", threads: 1 });
  try {
    await (async () => {
      const y = ops.sum(device.constant(new Float32Array(SIZE).fill(2)));
      expect(await y.item()).toBe(2 * SIZE);
      expect(device.memory().persistent).toBeGreaterThanOrEqual(4 * SIZE);
    })();
    for (let round = 0; round < 20 && device.memory().persistent >= 4 * SIZE; round++) {
      collect();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(device.memory().persistent).toBeLessThan(4 * SIZE);
  } finally {
    device.close();
  }
});
