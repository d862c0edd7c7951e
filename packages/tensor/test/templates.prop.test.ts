/** Random programs with composites in all places, taken and not taken: a template that computes exactly what the body does must change nothing. */
import { fc, test } from "@fast-check/vitest";
import { expect } from "vitest";
import { InterpreterBackend } from "../src/backends/interpreter/interpreter.ts";
import { composite, ops, type Device, type Tensor } from "../src/index.ts";
import { adder, on } from "./support/templates.ts";

const SIZE = 5;
/** What is done to earlier tensors, by number; whole numbers below 2²⁴ throughout, so that every order of adding gives the same. */
const step = fc.record({
  kind: fc.constantFrom("add", "sub", "reverse", "taken", "refused", "nested", "two", "half"),
  a: fc.nat(),
  b: fc.nat(),
});
const program = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 12 }),
  results: fc.array(fc.nat(), { minLength: 1, maxLength: 4 }),
  assigned: fc.array(fc.nat(), { maxLength: 2 }),
});

function build(kind: string, x: Tensor, y: Tensor): readonly Tensor[] {
  const sum = (): Tensor => ops.add(x, y);
  switch (kind) {
    case "add":
      return [sum()];
    case "sub":
      return [ops.sub(x, y)];
    case "reverse":
      return [ops.slice(x, 0, SIZE - 1, -1, -1)];
    case "nested": {
      const inner = composite("sum", sum(), [x, y]);
      return [composite("sum", ops.add(inner, x), [x, y, x])];
    }
    case "two":
      return composite("sum", [sum(), ops.add(y, x)], [x, y]);
    case "half": {
      // what is inside is wanted by the rest of the program too
      const inner = ops.add(x, x);
      return [composite("sum", ops.add(inner, y), [x, x, y]), inner];
    }
    default:
      return [composite(kind === "taken" ? "sum" : "other", sum(), [x, y])];
  }
}

async function run(
  device: Device,
  { steps, results, assigned }: typeof program extends fc.Arbitrary<infer T> ? T : never,
): Promise<number[][]> {
  const parameters = [1, 2].map((k) => device.parameter(Float32Array.from({ length: SIZE }, (_, i) => k * i - 3)));
  const made: Tensor[] = [...parameters.map((p) => p.value), device.full([SIZE], 2), device.tensor([5, 4, 3, 2, 1])];
  for (const { kind, a, b } of steps) made.push(...build(kind, made[a % made.length]!, made[b % made.length]!));
  assigned.forEach((at, i) => {
    parameters[i]!.assign(made[at % made.length]!);
  });
  const wanted = results.map((at) => made[made.length - 1 - (at % made.length)]!);
  await device.realize(...wanted);
  return Promise.all([...wanted, ...parameters.map((p) => p.value)].map(async (t) => [...(await t.floats())]));
}

test.prop([program], { numRuns: 150 })("taking composites changes no result", async (drawn) => {
  const [plain, taking] = [on(new InterpreterBackend(), []), on(new InterpreterBackend(), [adder("sum")])];
  expect(await run(taking, drawn)).toEqual(await run(plain, drawn));
});
