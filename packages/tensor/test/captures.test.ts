/** What may be captured, what is refused by name, and what becomes of old captures. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compile, grad, init, ops, structureChanged, type Device, type Tensor } from "../src/index.ts";
import { Recent } from "../src/plan/recent.ts";

let device: Device;
let other: Device;
beforeAll(async () => {
  [device, other] = [await init({ device: "interpreter" }), await init({ device: "interpreter" })];
});
afterAll(() => {
  device.close();
  other.close();
});

const host = (...data: number[]) => ({ data: Float32Array.from(data), shape: [data.length] });

describe("a function that cannot be captured is refused by name", () => {
  const p = () => device.parameter([1]);
  it.each<[string, (inputs: Record<string, Tensor>) => unknown, string]>([
    ["a promise", ({ x }) => Promise.resolve({ y: x! }), "compile: the function is async"],
    ["a rejected promise", () => Promise.reject(new Error("unheard")), "compile: the function is async"],
    [
      "nothing",
      () => undefined,
      "compile: the function must return an object of named tensors, such as { loss }, got undefined",
    ],
    ["a bare tensor", ({ x }) => x, "such as { loss }, got a Tensor"],
    ["a list", ({ x }) => [x], "compile: the function must return an object of named tensors"],
    ["a number", ({ x }) => ({ y: x!, n: 3 }), 'compile: result "n" must be a Tensor, got 3'],
    ["a parameter", () => ({ w: p() }), 'compile: result "w" must be a Tensor, got a Parameter; return its .value'],
    [
      "a tensor of another device",
      () => ({ y: other.tensor([1]) }),
      'compile: result "y" is on another device (interpreter)',
    ],
    [
      "no work at all",
      () => ({}),
      "compile: the function returns no tensor and assigns no parameter, so there is nothing to run",
    ],
    [
      "a write",
      ({ x }) => {
        p().write([2]);
        return { x: x! };
      },
      "compile: a parameter is written inside the function",
    ],
  ])("%s", async (_, fn, message) => {
    const f = compile(device, fn as () => Record<string, Tensor>);
    for (let i = 0; i < 2; i++) await expect(f({ x: host(1) })).rejects.toThrow(message);
    expect(device.pending.size).toBe(0);
  });

  it("an async function, before it runs", () => {
    let ran = false;
    // eslint-disable-next-line @typescript-eslint/require-await
    expect(() =>
      compile(device, (async () => {
        ran = true;
        return {};
      }) as never),
    ).toThrow("compile: the function is async");
    expect(ran).toBe(false);
    expect(() => compile(device, undefined as never)).toThrow("compile: give a function, got undefined");
  });

  it("values read while it is captured", async () => {
    const reads: Promise<unknown>[] = [];
    const f = compile(device, ({ x }) => {
      reads.push(ops.mul(x!, 2).data());
      return { x: x! };
    });
    await f({ x: host(1) });
    await expect(reads[0]).rejects.toThrow("compile: values are read or realized inside the function");
    const inner = compile(device, ({ x }) => ({ x: x! }));
    for (let i = 0; i < 3; i++) await inner({ x: host(1) });
    const calls: Promise<unknown>[] = [];
    await compile(device, ({ x }) => {
      calls.push(inner({ x: host(1) }));
      return { x: x! };
    })({ x: host(1) });
    await expect(calls[0]).rejects.toThrow("compile: another compiled function is called inside the function");
  });

  it("host values or parameters that are others at each call", async () => {
    let n = 0;
    const drawn = compile(device, ({ x }) => ({ y: ops.add(x!, device.tensor([n++])) }));
    await drawn({ x: host(1) });
    await expect(drawn({ x: host(1) })).rejects.toThrow(
      "compile: host values [1] were others the second time, and the first would have been frozen; pass it as an input, a live tensor or a parameter",
    );
    const chosen = [p(), p()];
    const swapped = compile(device, ({ x }) => ({ y: ops.add(x!, chosen[n++ % 2]!.value) }));
    await swapped({ x: host(1) });
    await expect(swapped({ x: host(1) })).rejects.toThrow(
      "compile: the function read another tensor [1] the second time",
    );
  });
});

it("an exception inside leaves no assignment behind: the device works on, and so does the function", async () => {
  const p = device.parameter([1, 2]);
  let broken = true;
  const step = compile(device, ({ x }) => {
    p.assign(ops.add(p.value, x!));
    if (broken) throw new Error("mine");
    return { sum: ops.sum(p.value) };
  });
  await expect(step({ x: host(1, 1) })).rejects.toThrow("mine");
  await device.realize();
  expect([...(await p.value.floats())]).toEqual([1, 2]);
  broken = false;
  for (let i = 1; i <= 3; i++) expect(await (await step({ x: host(1, 1) })).sum.item()).toBe(3 + 2 * i);
});

it("a structural change is traced once where the graph stays, on the parameters of now", async () => {
  let traced = 0;
  let w = device.parameter([2]);
  const f = compile(device, ({ x }) => {
    traced++;
    const y = ops.mul(x!, w.value);
    return { y, g: grad(ops.sum(y), [w])[0]! };
  });
  const y = async (): Promise<number> => (await f({ x: host(3) })).y.item();
  for (let i = 0; i < 3; i++) expect(await y()).toBe(6);
  w = device.parameter([5]);
  structureChanged();
  for (let i = 0; i < 3; i++) expect(await y()).toBe(15);
  expect(traced).toBe(3);
  // disposed storage is never read again, whether anybody said so or not
  w.dispose();
  await expect(y()).rejects.toThrow("value: parameter [1] was disposed");
  w = device.parameter([7]);
  expect(await y()).toBe(21);
});

it("keeps the captures used last", async () => {
  const kept = new Recent<number>(2);
  kept.set("a", 1);
  kept.set("b", 2);
  kept.get("a");
  kept.set("c", 3);
  expect(kept.entries()).toEqual([
    ["a", 1],
    ["c", 3],
  ]);
  const f = compile(device, ({ x }) => ({ y: ops.neg(x!) }));
  for (let n = 0; n < 300; n++)
    f.plan({ x: { shape: [1], dtype: "f32" }, [`unused${n}`]: { shape: [1], dtype: "f32" } });
  expect(f.info().length).toBe(256);
  expect(f.info().at(-1)!.signature).toContain("unused299");
});
