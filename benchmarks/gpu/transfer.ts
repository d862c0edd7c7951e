/** Bytes to the card and back, through the engine: a parameter that is written and one that is read. */
import { init } from "@lowrank/tensor";
import { median, reason, type Context } from "./row.ts";
import { fence, timeCalls } from "./timing.ts";

const MEBIBYTE = 1 << 20;

export async function timeTransfers(context: Context): Promise<void> {
  const { small, report, spent, cut } = context;
  const device = await init({ device: "webgpu" });
  const wait = fence(device);
  const sizes = small ? [4096, MEBIBYTE] : [4096, MEBIBYTE, 16 * MEBIBYTE, 256 * MEBIBYTE];
  for (const bytes of sizes) {
    if (spent()) return cut(`transfers of ${bytes} bytes and more were not timed`);
    const name = bytes < MEBIBYTE ? `${bytes / 1024}KiB` : `${bytes / MEBIBYTE}MiB`;
    try {
      const values = Float32Array.from({ length: bytes / 4 }, (_, i) => i % 8191);
      const parameter = device.parameter(values, [values.length]);
      const up = await timeCalls(() => Promise.resolve(parameter.write(values)), wait, context, { most: 20 });
      report({ name: `upload/${name}`, value: bytes / up / 1e6, unit: "GB/s", ms: up });
      const samples: number[] = [];
      let back = await parameter.data();
      while (samples.length < 5 && (samples.length === 0 || !spent())) {
        const began = performance.now();
        back = await parameter.data();
        samples.push(performance.now() - began);
      }
      const down = median(samples);
      const wrong = values.findIndex((v, i) => back[i] !== v);
      report({
        name: `readback/${name}`,
        value: bytes / down / 1e6,
        unit: "GB/s",
        ms: down,
        ...(wrong < 0 ? {} : { wrong: `element ${wrong} was written as ${values[wrong]} and read as ${back[wrong]}` }),
      });
      parameter.dispose();
    } catch (error) {
      report({ name: `transfer/${name}`, wrong: reason(error) });
      device.checkUsable();
    }
  }
  device.close();
}
