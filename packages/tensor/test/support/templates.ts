/** Devices whose backend has templates, closed after each test. */
import { afterEach } from "vitest";
import type { Kernel, Target, Template } from "../../src/backend.ts";
import type { Backend } from "../../src/backends/backend.ts";
import { Device } from "../../src/index.ts";
import { PlanEngine } from "../../src/plan/plan-engine.ts";

export const opened: Device[] = [];
afterEach(() => {
  for (const device of opened.splice(0)) device.close();
});
export function on(backend: Backend, templates: readonly Template[], target: Partial<Target> = {}): Device {
  const with_ = Object.assign(backend, { templates, target: { ...backend.target, ...target } });
  const device = new Device(new PlanEngine(with_, { fusion: true, planCache: true }));
  opened.push(device);
  return device;
}

/** Answers composites of these names by loops that add up all inputs, all of one shape, into every output. */
export const adder = (...taken: readonly string[]): Template => ({
  name: "adder",
  match(subject) {
    if (subject.kind !== "composite" || !taken.includes(subject.name)) return undefined;
    const size = subject.inputs[0]!.shape.reduce((a, b) => a * b, 1);
    const place = { offset: 0, strides: [1] };
    const kernel: Kernel = {
      kind: "loop",
      label: "sum",
      args: [...subject.inputs, ...subject.outputs].map((_, i) => ({
        dtype: "f32",
        access: i < subject.inputs.length ? "read" : "write",
        size,
      })),
      outer: [size],
      inner: [],
      body: [
        ...subject.inputs.map((_, arg) => ({ op: "load", type: "f32", arg, index: place }) as const),
        ...subject.inputs.slice(1).map(
          (_, i) =>
            ({
              op: "add",
              type: "f32",
              a: i === 0 ? 0 : subject.inputs.length + i - 1,
              b: i + 1,
            }) as const,
        ),
      ],
      stores: subject.outputs.map((_, i) => ({
        arg: subject.inputs.length + i,
        index: place,
        value: 2 * subject.inputs.length - 2,
      })),
    };
    return { phases: [{ kernel, args: [...kernel.args.keys()] }] };
  },
});
