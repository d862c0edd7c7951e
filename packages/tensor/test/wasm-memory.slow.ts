/** Single tensors beyond 2 GiB. Touches about three GiB of memory. */
import { expect, it } from "vitest";
import { grad, init, ops } from "../src/index.ts";

it.for([1, 2])("a gradient of more than 2 GiB is gathered from rows right on %d threads", async (threads) => {
  const device = await init({ device: "wasm", threads });
  const [rows, columns] = [1_100_000, 512];
  const table = ops.add(device.zeros([rows, columns]), device.tensor([0]));
  const ids = [0, rows - 1, 1_048_576, rows - 1, 524_288];
  const picked = ops.embedding(table, device.tensor(Int32Array.from(ids)));
  const weights = ops.reshape(ops.add(device.arange(ids.length * columns), 1), [ids.length, columns]);
  const [gradient] = grad(ops.sum(ops.mul(picked, ops.cast(weights, "f32"))), [table]);
  // by rows, so that every one of them is looked at
  const sums = await ops.sum(gradient!, [1]).floats();
  const rowSum = (i: number): number => columns * (i * columns) + (columns * (columns + 1)) / 2;
  const want = new Map([
    [0, rowSum(0)],
    [rows - 1, rowSum(1) + rowSum(3)],
    [1_048_576, rowSum(2)],
    [524_288, rowSum(4)],
  ]);
  sums.forEach((sum, row) => {
    if (sum !== (want.get(row) ?? 0)) expect.fail(`row ${row} sums to ${sum}`);
  });
  expect(device.memory().arena).toBeGreaterThan(2 * 2 ** 30);
  device.close();
});
