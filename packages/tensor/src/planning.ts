/** A device that holds and computes nothing and plans like another: what a step of a model of any size would take can be told before any of it is there. */
import type { Backend, BackendInfo, DeviceBuffer, Executable, MemoryInfo } from "./backends/backend.ts";
import { Device } from "./device.ts";
import { LowrankError } from "./errors.ts";
import type { Target } from "./ir/target.ts";
import type { Template } from "./ir/template.ts";
import { PlanEngine } from "./plan/plan-engine.ts";
import type { Plan } from "./plan/plan.ts";

class PlanningBackend implements Backend {
  readonly name: string;
  readonly target: Target;
  readonly templates: readonly Template[];
  readonly synchronous: boolean;
  readonly #like: Backend;
  readonly #live = new Set<DeviceBuffer>();
  #arena = 0;
  #scratch = 0;

  constructor(like: Backend) {
    this.#like = like;
    this.name = like.name;
    this.target = like.target;
    this.templates = like.templates ?? [];
    this.synchronous = like.synchronous;
  }

  alloc(bytes: number): DeviceBuffer {
    const buffer = { bytes };
    this.#live.add(buffer);
    return buffer;
  }

  free(buffer: DeviceBuffer): void {
    this.#live.delete(buffer);
  }

  upload(): void {
    // there is nowhere to put it
  }

  read(buffer: DeviceBuffer): Promise<Uint8Array> {
    return Promise.resolve(this.readSync(buffer));
  }

  readSync({ bytes }: DeviceBuffer): Uint8Array {
    return new Uint8Array(bytes);
  }

  prepare(plan: Plan): Executable {
    this.#arena = Math.max(this.#arena, plan.arenaBytes);
    this.#scratch = Math.max(this.#scratch, this.#like.scratchBytes?.(plan) ?? 0);
    return { plan };
  }

  run(): void {
    throw new LowrankError(
      "DeviceError",
      `${this.name}: this device only plans; open one with init to compute something`,
    );
  }

  memory(): MemoryInfo {
    let persistent = 0;
    for (const { bytes } of this.#live) persistent += bytes;
    const [arena, scratch] = [this.#arena, this.#scratch];
    return { persistent, arena, scratch, reserved: persistent + arena + scratch, buffers: this.#live.size };
  }

  info(): BackendInfo {
    return { ...this.#like.info(), description: `plans like ${this.name}, computes nothing` };
  }

  close(): void {
    this.#live.clear();
  }
}

/**
 * A device on which models take no memory: parameters are counted and not kept, `compile(…).plan()` says what the other device would
 * need, `memory()` what all of it comes to, and nothing can be run. Values that are written are not looked at, so that
 * `new Float32Array(n)` will do, and a parameter that is read is zeros.
 * @param like is asked while plans are made, so it must stay open
 * @throws LowrankError (ConfigError) for a device that runs graphs as they are and makes no plans, as `reference` does
 */
export function planningDevice(like: Device): Device {
  const { engine } = like;
  if (!(engine instanceof PlanEngine))
    throw new LowrankError("ConfigError", `planningDevice: the device ${like.name} makes no plans; give it another`);
  return new Device(new PlanEngine(new PlanningBackend(engine.backend), { fusion: true, planCache: true }));
}
