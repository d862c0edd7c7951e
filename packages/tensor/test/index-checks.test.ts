/** An index that hits nothing never counts as an answer: host values are refused before the run, values of the device become NaN. */
import { fc, test } from "@fast-check/vitest";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compile, grad, init, ops, type Device, type Tensor } from "../src/index.ts";

let device: Device;
let reference: Device;
beforeAll(async () => {
  device = await init({ device: "wasm", threads: 1 });
  reference = await init({ device: "reference" });
});
afterAll(() => {
  device.close();
});

const logits = (n: number, classes: number): Tensor =>
  device.tensor(
    Float32Array.from({ length: n * classes }, (_, i) => Math.sin(i)),
    [n, classes],
  );
const ints = (...values: number[]): Tensor => device.tensor(Int32Array.from(values));

describe("cross entropy", () => {
  test.prop([fc.array(fc.oneof(fc.integer({ min: -3, max: 6 }), fc.constant(-100)), { minLength: 1, maxLength: 8 })], {
    numRuns: 60,
  })(
    "takes classes and what is ignored; anything else is refused, or NaN where the device computed it",
    async (labels) => {
      const wrong = labels.findIndex((l) => l !== -100 && (l < 0 || l >= 4));
      const x = logits(labels.length, 4);
      const each = ops.crossEntropy(x, ints(...labels), { reduction: "none" }).floats();
      if (wrong < 0) expect((await each).every(Number.isFinite)).toBe(true);
      else
        await expect(each).rejects.toThrow(
          `crossEntropy: label ${labels[wrong]} in row ${wrong} of a host tensor [${labels.length}] lies outside [0, 4); -100 is ignored`,
        );
      for (const on of [device, reference]) {
        const data = on.tensor(
          Float32Array.from({ length: labels.length * 4 }, (_, i) => Math.sin(i)),
          [labels.length, 4],
          on.defaultFloat,
        );
        const loss = ops.crossEntropy(data, ops.sub(ops.add(on.tensor(Int32Array.from(labels)), 1), 1), {
          reduction: "none",
        });
        const [g] = grad(ops.sum(loss), [data]);
        const [values, gradient] = [await loss.floats(), await g!.floats()];
        labels.forEach((l, row) => {
          const bad = l !== -100 && (l < 0 || l >= 4);
          expect([Number.isNaN(values[row]!), Number.isNaN(gradient[row * 4]!), values[row] === 0]).toEqual([
            bad,
            bad,
            l === -100,
          ]);
        });
      }
    },
  );

  it("a label that the device computed and that is no class is named by anomaly detection", async () => {
    device.anomalyDetection = true;
    try {
      await expect(ops.crossEntropy(logits(2, 4), ops.add(ints(0, 3), 1)).item()).rejects.toThrow(
        /gatherRows\[2, 1\] .* made the first non-finite value/,
      );
    } finally {
      device.anomalyDetection = false;
    }
  });

  it("looks at inputs of compiled functions at every call, before anything changes", async () => {
    const weight = device.parameter(Float32Array.of(0.1, 0.2, 0.3, 0.4, 0.5, 0.6), [2, 3]);
    const step = compile(device, ({ labels }) => {
      const loss = ops.crossEntropy(weight.value, labels!);
      const [g] = grad(loss, [weight]);
      weight.assign(ops.sub(weight.value, g!));
      return { loss };
    });
    const good = { labels: { data: Int32Array.of(0, 2), shape: [2] } };
    for (let i = 0; i < 4; i++) await step(good);
    const before = [...(await weight.data())];
    for (const bad of [3, -1, 2 ** 31 - 1]) {
      await expect(step({ labels: { data: Int32Array.of(0, bad), shape: [2] } })).rejects.toThrow(
        `crossEntropy: label ${bad} in row 1 of input "labels" lies outside [0, 3); -100 is ignored`,
      );
    }
    expect([...(await weight.data())]).toEqual(before);
    await step({ labels: { data: Int32Array.of(-100, 1), shape: [2] } });
    expect([...(await weight.data())]).not.toEqual(before);
  });

  it("sees labels through views: what is cut off does not count, what is padded does", async () => {
    const shifted = (data: number[], value: number): Promise<number> => {
      const moved = ops.pad(
        ops.slice(device.tensor(Int32Array.from(data), [2, 3]), 1, 1, 3),
        [
          [0, 0],
          [0, 1],
        ],
        value,
      );
      return ops.crossEntropy(logits(6, 4), ops.reshape(moved, [-1])).item();
    };
    expect(Number.isFinite(await shifted([99, 1, 2, -7, 3, 0], -100))).toBe(true);
    await expect(shifted([0, 1, 2, 0, 3, 4], -100)).rejects.toThrow("label 4 at [1, 2] of a host tensor [2, 3]");
    await expect(shifted([0, 1, 2, 0, 3, 0], -1)).rejects.toThrow("label -1 in padding lies outside");
    await expect(
      ops.crossEntropy(logits(2, 4), ops.cast(device.tensor(Float32Array.of(1, 4.5)), "i32")).item(),
    ).rejects.toThrow("label 4 in row 1");
  });

  it("knows labels that were read in between, and live ones", async () => {
    const labels = ops.slice(ints(0, 1, 9), 0, 1, 3);
    await labels.data();
    await expect(ops.crossEntropy(logits(2, 4), labels).item()).rejects.toThrow("label 9 in row");
    const onReference = ops.slice(reference.tensor(Int32Array.of(0, 1, 9)), 0, 1, 3);
    await onReference.data();
    await expect(ops.crossEntropy(reference.full([2, 4], 0), onReference).item()).rejects.toThrow(
      "label 9 in row 2 of a host tensor [3]",
    );
    const live = device.live([2], "i32", () => [0, 9]);
    await expect(ops.crossEntropy(logits(2, 4), live).item()).rejects.toThrow("label 9 in row 1 of a live tensor [2]");
  });
});

describe("gathers and scatters", () => {
  it("refuse ids of the host that lie outside, naming the module's input", async () => {
    const table = logits(3, 2);
    await expect(ops.embedding(table, ints(1, 3)).data()).rejects.toThrow(
      "embedding: id 3 in row 1 of a host tensor [2] lies outside [0, 3)",
    );
    await expect(ops.gatherRows(table, ints(-1)).data()).rejects.toThrow("gatherRows: id -1");
    await expect(ops.indexSelect(table, 1, ints(0, 2)).data()).rejects.toThrow("indexSelect: index 2");
    await expect(ops.gather(table, 1, device.tensor(Int32Array.of(2, 0, 0), [3, 1])).data()).rejects.toThrow(
      "gather: index 2 at [0, 0]",
    );
    await expect(
      ops.scatterAdd(table, 1, device.tensor(Int32Array.of(0, 5, 0), [3, 1]), logits(3, 1)).data(),
    ).rejects.toThrow("scatterAdd: index 5 at [1, 0]");
    await expect(ops.scatterRows(ints(4), logits(1, 2), 3).data()).rejects.toThrow("scatterRows: id 4");
    await expect(ops.embedding(table, device.arange(4)).data()).rejects.toThrow(
      "embedding: id 3 in row 3 of a constant tensor [4]",
    );
  });

  it("give NaN for ids of the device that lie outside, never another row's value", async () => {
    const table = logits(3, 2);
    const computed = (ids: Tensor): Tensor => ops.sub(ops.add(ids, 1), 1);
    expect([...(await ops.embedding(table, computed(ints(1, 3, -1))).floats())].map(Number.isNaN)).toEqual([
      false,
      false,
      true,
      true,
      true,
      true,
    ]);
    // along a dimension, 2 would be the next row's first element
    expect(
      [...(await ops.gather(table, 1, computed(device.tensor(Int32Array.of(2, 1, -1), [3, 1]))).floats())].map(
        Number.isNaN,
      ),
    ).toEqual([true, false, true]);
    const added = await ops
      .scatterAdd(
        ops.mul(table, 0),
        1,
        computed(device.tensor(Int32Array.of(2, 1, -1), [3, 1])),
        device.full([3, 1], 5),
      )
      .floats();
    expect([...added]).toEqual([0, 0, 0, 5, 0, 0]);
  });
});
