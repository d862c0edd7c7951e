/**
 * The one linear memory and who holds which bytes of it. First fit over an address-ordered free list with merging;
 * buffers are few and large, so nothing cleverer is needed.
 */
import { DeviceError, invariant } from "../../errors.ts";
import { ADDRESS_SPACE } from "./address.ts";
import { wasmApi, type WasmMemory } from "./platform.ts";

const PAGE = 65536;
/** Reserving all that can be addressed costs address space only. */
const MAX_PAGES = ADDRESS_SPACE / PAGE;
/** Buffers start on cache lines; vector loads never straddle one more line than they must. */
const ALIGN = 64;
/** Address 0 stays unused, so that a forgotten pointer shows. */
const FIRST = 1024;

interface Free {
  at: number;
  bytes: number;
}

export class Heap {
  readonly memory: WasmMemory;
  readonly shared: boolean;
  #free: Free[] = [];
  #end: number;
  /** Bytes in buffers that somebody holds. */
  #held = 0;

  constructor(shared: boolean) {
    this.shared = shared;
    const initial = 64;
    this.memory = new (wasmApi().Memory)({ initial, maximum: MAX_PAGES, shared });
    this.#end = initial * PAGE;
    this.#free.push({ at: FIRST, bytes: this.#end - FIRST });
  }

  /** Throws when so many more bytes can never fit beside what is held, before anything is allocated. */
  ensureRoom(bytes: number): void {
    if (FIRST + this.#held + bytes > ADDRESS_SPACE) throw this.#full(bytes);
  }

  alloc(wanted: number): number {
    invariant(Number.isSafeInteger(wanted) && wanted >= 0, `wasm: ${wanted} bytes wanted`);
    const bytes = rounded(wanted);
    const at = this.#take(bytes);
    this.#held += bytes;
    return at;
  }

  #take(bytes: number): number {
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
    return this.#take(bytes);
  }

  free(at: number, wanted: number): void {
    const bytes = rounded(wanted);
    this.#held -= bytes;
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
    if (this.#end + pages * PAGE > ADDRESS_SPACE) throw this.#full(bytes);
    try {
      this.memory.grow(pages);
    } catch (cause) {
      throw new DeviceError(
        `wasm: out of memory: the system has no ${size(bytes)} more beside the ${size(this.#held)} that are held`,
        { cause },
      );
    }
    this.#free.push({ at: this.#end, bytes: pages * PAGE });
    this.#end += pages * PAGE;
    this.#join(Math.max(0, this.#free.length - 2));
  }

  #full(bytes: number): DeviceError {
    const gaps = this.#free.reduce((sum, hole) => sum + hole.bytes, ADDRESS_SPACE - this.#end);
    const where = gaps >= bytes ? ` in one piece (${size(gaps)} are free in all)` : "";
    return new DeviceError(
      `wasm: out of memory: ${size(bytes)} more do not fit${where} beside the ${size(this.#held)} that are held; WebAssembly addresses 4 GiB. Keep frozen weights in f16 or nf4, use a smaller batch, or device: "webgpu"`,
    );
  }
}

function rounded(bytes: number): number {
  return Math.max(ALIGN, Math.ceil(bytes / ALIGN) * ALIGN);
}

/** Bytes for humans. */
function size(bytes: number): string {
  return bytes < 2 ** 20
    ? `${bytes} bytes`
    : bytes < 2 ** 30
      ? `${Math.round(bytes / 2 ** 20)} MiB`
      : `${(bytes / 2 ** 30).toFixed(2)} GiB`;
}
