/** Devices whose backend has templates, closed after each test. */
import { afterEach } from "vitest";
import type { Target, Template } from "../../src/backend.ts";
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
