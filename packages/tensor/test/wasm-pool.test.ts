/** Threads are called by a word of shared memory while they are near and by message otherwise; results must not show which, or how many there are. */
import { execFileSync } from "node:child_process";
import { compile, init, ops, type Device } from "../src/index.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const COUNTS = [1, 2, 3];
let devices: Device[];
beforeAll(async () => {
  devices = await Promise.all(COUNTS.map((threads) => init({ device: "wasm", threads })));
});
afterAll(() => devices.forEach((d) => d.close()));

const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
const wave = (count: number, phase: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(0.7 * i + phase));

/** What `body` gives on every device, the first being the measure of the others. */
async function everywhere(body: (device: Device) => Promise<number[]>): Promise<void> {
  const [one, ...others] = await Promise.all(devices.map(body));
  expect(one!.length).toBeGreaterThan(0);
  for (const other of others) expect(other).toEqual(one);
}

describe("threads", () => {
  it("see every one of many short runs, with and without pauses that send them to sleep", () =>
    everywhere(async (device) => {
      const [rows, columns] = [64, 512];
      const step = compile(device, ({ x }) => ({
        total: ops.sum(ops.softmax(ops.mul(x!, x!))),
        mean: ops.mean(ops.exp(x!), [1]),
      }));
      const out: number[] = [];
      for (let i = 0; i < 300; i++) {
        if (i % 60 === 59) await pause(i % 120 === 59 ? 2 : 40);
        const { total, mean } = await step({ x: { data: wave(rows * columns, i), shape: [rows, columns] } });
        out.push(await total.item(), (await mean.data())[i % rows]!);
      }
      return out;
    }));

  it("learn of new kernels and of memory that has grown between two runs", () =>
    everywhere(async (device) => {
      const out: number[] = [];
      for (let i = 0; i < 12; i++) {
        const x = device.tensor(wave(128 * (256 + 32 * i), i), [128, 256 + 32 * i]);
        const kept = device.parameter(wave((1 << 18) * (1 + (i % 3)), i));
        for (let again = 0; again < 3; again++) out.push(await ops.sum(ops.tanh(ops.mul(x, i + again))).item());
        out.push(await ops.sum(kept.value).item());
      }
      return out;
    }));
});

it("start from code that is given on the command line as a module", () => {
  const code = `
    import { init } from "@lowrank/tensor";
    const device = await init({ device: "wasm", threads: 2 });
    console.log(await device.full([3], 2).data());
    device.close();`;
  const flags = ["--conditions=@lowrank/source", "--import", "tsx", "--input-type=module", "-e", code];
  const said = execFileSync(process.execPath, flags, { cwd: import.meta.dirname, encoding: "utf8" });
  expect(said).toContain("Float32Array(3) [ 2, 2, 2 ]");
});
