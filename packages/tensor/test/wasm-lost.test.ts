/** A compute thread that ends, and a device that is closed: whoever waits for them hears of it at once, and nobody else is touched. */
import { afterEach, describe, expect, it } from "vitest";
import { compile, init, ops, type Compiled, type Device, type LowrankError, type Tensor } from "../src/index.ts";
import { openWasm } from "./support/wasm.ts";

const open: Device[] = [];
afterEach(() => open.splice(0).forEach((device) => device.close()));
const kept = (device: Device): Device => {
  open.push(device);
  return device;
};

const SIDE = 256;
const input = { x: { data: Float32Array.from({ length: SIDE * SIDE }, (_, i) => Math.sin(i)), shape: [SIDE, SIDE] } };
/** Large enough for threads to share every kernel. */
const stepOn = (device: Device): Compiled<{ y: Tensor }> =>
  compile(device, ({ x }) => ({ y: ops.sum(ops.softmax(ops.matmul(x!, ops.tanh(x!)))) }));
const failure = (promise: Promise<unknown>): Promise<LowrankError> =>
  promise.then(
    () => {
      throw new Error("it did not fail");
    },
    (error: LowrankError) => error,
  );
/** Blocks the thread: no event comes in between. */
const block = (ms: number): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
};

/** Runs steps until one fails; how long that one took. */
async function untilFailure(step: Compiled<{ y: Tensor }>): Promise<{ error: LowrankError; ms: number }> {
  for (let i = 0; i < 500; i++) {
    const started = performance.now();
    // no await before the outcome is there: a synchronous run gives no event loop a turn
    const outcome = step(input).then(
      () => undefined,
      (error: LowrankError) => error,
    );
    const ms = performance.now() - started;
    const error = await outcome;
    if (error !== undefined) return { error, ms };
  }
  throw new Error("no step failed");
}

const third = (statement: string): string =>
  `globalThis.pieces = (globalThis.pieces ?? 0) + 1; if (globalThis.pieces === 3) { ${statement} }`;

describe("a compute thread that ends inside a phase", () => {
  it.for([
    ["throws", "throw new Error('out of ink')", /thread 1 of 1 ended \(Error: out of ink\)/],
    ["exits", "process.exit(3)", /thread 1 of 1 ended/],
    ["exits without a word", "process.reallyExit(3)", /thread 1 of 1 ended/],
  ] as const)("and %s is noticed within a second; the device is lost, others are not", async ([, how, message]) => {
    const [lost, other] = [kept(await openWasm(2, third(how))), kept(await openWasm(2))];
    const weight = lost.parameter([1, 2, 3]);
    const { error, ms } = await untilFailure(stepOn(lost));
    expect(error).toMatchObject({ code: "DeviceLostError", message: expect.stringMatching(message) as string });
    expect(ms).toBeLessThan(1000);
    for (const use of [
      () => stepOn(lost)(input),
      () => weight.data(),
      async () => lost.parameter([1]),
      async () => ops.add(weight.value, 1).data(),
    ]) {
      expect(await failure(use())).toMatchObject({ code: "DeviceLostError" });
    }
    expect(await (await stepOn(other)(input)).y.item()).toBeCloseTo(SIDE, 1);
  });
});

it("a compute thread that ended between runs is noticed within a second, without an event", async () => {
  const device = kept(await openWasm(2, "setTimeout(() => process.reallyExit(0), 0)"));
  const step = stepOn(device);
  for (let i = 0; i < 20; i++) await step(input);
  block(400);
  const { error, ms } = await untilFailure(step);
  expect(error.code).toBe("DeviceLostError");
  expect(ms).toBeLessThan(1000);
});

it.for([
  ["computes", "const until = Date.now() + 1500; while (Date.now() < until);"],
  ["is kept from computing", "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1500);"],
] as const)("a thread that %s for longer than that is waited for", async ([, pause]) => {
  const [slow, one] = [kept(await openWasm(2, third(pause))), kept(await openWasm(1))];
  const [step, measure] = [stepOn(slow), stepOn(one)];
  const want = await (await measure(input)).y.item();
  let longest = 0;
  for (let i = 0; i < 500 && longest < 1000; i++) {
    const started = performance.now();
    expect(await (await step(input)).y.item()).toBe(want);
    longest = Math.max(longest, performance.now() - started);
  }
  expect(longest).toBeGreaterThan(1000);
});

it("a thread that does not start is an error, not a wait", async () => {
  expect(await failure(openWasm(3, "this is no JavaScript"))).toMatchObject({
    code: "DeviceError",
    message: expect.stringMatching(/compute threads did not start \(SyntaxError.*threads: 1/) as string,
  });
});

describe.each([1, 2])("a closed device with %d threads", (threads) => {
  it("refuses every use at once", async () => {
    const device = await init({ device: "wasm", threads });
    const step = stepOn(device);
    const weight = device.parameter([1, 2, 3]);
    const { y } = await step(input);
    device.close();
    device.close();
    for (const use of [
      () => step(input),
      () => weight.data(),
      async () => device.parameter([1]),
      () => ops.add(y, 1).data(),
      () => stepOn(device)(input),
      async () => weight.write([4, 5, 6]),
    ]) {
      const started = performance.now();
      expect(await failure(use())).toMatchObject({
        code: "DisposedError",
        message: expect.stringContaining("closed") as string,
      });
      expect(performance.now() - started).toBeLessThan(1000);
    }
    weight.dispose();
  });

  it("rejects a step that was pending", async () => {
    const device = await init({ device: "wasm", threads });
    const step = stepOn(device);
    await step(input);
    const pending = step(input);
    device.close();
    expect(await failure(pending)).toMatchObject({ code: "DisposedError" });
    const reading = ops.add(kept(await init({ device: "wasm", threads })).parameter([1]).value, 1);
    const values = reading.data();
    open.at(-1)!.close();
    expect(await failure(values)).toMatchObject({ code: "DisposedError" });
  });
});
