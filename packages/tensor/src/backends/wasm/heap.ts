/**
 * The one linear memory and who holds which bytes of it. First fit over an address-ordered free list with merging;
 * buffers are few and large, so nothing cleverer is needed.
 */
import { DeviceError } from "../../errors.ts";
import { wasmApi, type WasmMemory } from "./platform.ts";

const PAGE = 65536;
/** wasm32 addresses 4 GiB; reserving it costs address space only. */
const MAX_PAGES = 65536;
/** Buffers start on cache lines; vector loads never straddle one more line than they must. */
const ALIGN = 64;
/** Address 0 stays unused, so that a forgotten pointer shows. */
const FIRST = 1024;

interface Free { at: number; bytes: number }

export class Heap {
  readonly memory: WasmMemory;
  readonly shared: boolean;
  #free: Free[] = [];
  #end: number;

  constructor(shared: boolean) {
    this.shared = shared;
    const initial = 64;
    this.memory = new (wasmApi().Memory)({ initial, maximum: MAX_PAGES, shared });
    this.#end = initial * PAGE;
    this.#free.push({ at: FIRST, bytes: this.#end - FIRST });
  }

  alloc(wanted: number): number {
    const bytes = Math.max(ALIGN, Math.ceil(wanted / ALIGN) * ALIGN);
    for (let i = 0; i < this.#free.length; i++) {
      const hole = this.#free[i]!;
      if (hole.bytes < bytes) continue;
      const at = hole.at;
      hole.at += bytes;
      hole.bytes -= bytes;
      if (hole.bytes === 0) this.#free.splice(i, 1);
      return at;
    }
    this.#grow(bytes);
    return this.alloc(bytes);
  }

  free(at: number, wanted: number): void {
    const bytes = Math.max(ALIGN, Math.ceil(wanted / ALIGN) * ALIGN);
    let i = 0;
    while (i < this.#free.length && this.#free[i]!.at < at) i++;
    this.#free.splice(i, 0, { at, bytes });
    this.#join(i);
    if (i > 0) this.#join(i - 1);
  }

  bytes(at: number, count: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, at, count);
  }

  #join(i: number): void {
    const a = this.#free[i]!;
    const b = this.#free[i + 1];
    if (b === undefined || a.at + a.bytes !== b.at) return;
    a.bytes += b.bytes;
    this.#free.splice(i + 1, 1);
  }

  #grow(bytes: number): void {
    const last = this.#free[this.#free.length - 1];
    const tail = last !== undefined && last.at + last.bytes === this.#end ? last.bytes : 0;
    const pages = Math.ceil((bytes - tail) / PAGE);
    try {
      this.memory.grow(pages);
    } catch (cause) {
      throw new DeviceError(`wasm: out of memory: ${bytes} more bytes do not fit next to ${this.#end} (the limit is 4 GiB); use a smaller batch or model`, { cause });
    }
    this.#free.push({ at: this.#end, bytes: pages * PAGE });
    this.#end += pages * PAGE;
    this.#join(Math.max(0, this.#free.length - 2));
  }
}
