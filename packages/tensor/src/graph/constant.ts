/**
 * Values that never change (rotary tables), in device memory once for every plan that reads them. Equal values of one dtype and shape are
 * one constant of a device, so that equal graphs built twice, by two models for instance, read the same memory.
 *
 * A constant is copied to the device when a run first needs it. Its memory is freed once no tensor and no captured program refers to it
 * any more, as that of tensors which nobody disposed.
 */
import type { DType, TypedArray } from "../dtype.ts";
import { sameShape } from "../shape.ts";
import type { Storage, StorageOwner } from "./storage.ts";

export class Constant {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** In the memory form of the dtype; nobody writes it. */
  readonly data: TypedArray;
  readonly #owner: StorageOwner;
  #storage: Storage | undefined;

  constructor(owner: StorageOwner, dtype: DType, shape: readonly number[], data: TypedArray) {
    this.dtype = dtype;
    this.shape = shape;
    this.data = data;
    this.#owner = owner;
  }

  /** Where it is on the device; the first who asks has it copied there. @throws DeviceError where there is no room for it */
  get storage(): Storage {
    if (this.#storage !== undefined) return this.#storage;
    const storage = this.#owner.allocate(this.dtype, this.data.length);
    try {
      this.#owner.write(storage, this.dtype, this.data);
    } catch (error) {
      this.#owner.release(storage);
      throw error;
    }
    freed.register(this, { owner: this.#owner, storage });
    return (this.#storage = storage);
  }
}

const freed = new FinalizationRegistry<{ owner: StorageOwner; storage: Storage }>(({ owner, storage }) =>
  owner.release(storage),
);

/** The constants of one device that are still in use, by content. */
export class Constants {
  readonly #owner: StorageOwner;
  readonly #known = new Map<number, WeakRef<Constant>[]>();
  readonly #collected = new FinalizationRegistry<number>((digest) => this.#prune(digest));

  constructor(owner: StorageOwner) {
    this.#owner = owner;
  }

  /** The constant of these values. `data` is in the memory form of `dtype` and becomes its own, so nobody may write it afterwards. */
  of(dtype: DType, shape: readonly number[], data: TypedArray): Constant {
    const digest = digestOf(data);
    const alike = this.#prune(digest);
    for (const ref of alike) {
      const known = ref.deref();
      if (known?.dtype === dtype && sameShape(known.shape, shape) && sameBytes(known.data, data)) return known;
    }
    const made = new Constant(this.#owner, dtype, [...shape], data);
    this.#known.set(digest, [...alike, new WeakRef(made)]);
    this.#collected.register(made, digest);
    return made;
  }

  #prune(digest: number): WeakRef<Constant>[] {
    const left = (this.#known.get(digest) ?? []).filter((ref) => ref.deref() !== undefined);
    if (left.length === 0) this.#known.delete(digest);
    else this.#known.set(digest, left);
    return left;
  }
}

/** 32-bit FNV-1a, word by word. It only tells where to look: what is found there is compared. */
function digestOf(data: TypedArray): number {
  let hash = 0x811c9dc5;
  const add = (word: number): void => {
    hash = Math.imul(hash ^ word, 0x01000193);
  };
  const whole = data.byteOffset % 4 === 0 ? data.byteLength >>> 2 : 0;
  if (whole > 0) new Int32Array(data.buffer, data.byteOffset, whole).forEach(add);
  new Uint8Array(data.buffer, data.byteOffset + 4 * whole, data.byteLength - 4 * whole).forEach(add);
  return hash >>> 0;
}

/** NaN with the same bits is the same, and −0 is not 0. */
function sameBytes(a: TypedArray, b: TypedArray): boolean {
  if (a === b) return true;
  const [x, y] = [a, b].map((d) => new Uint8Array(d.buffer, d.byteOffset, d.byteLength)) as [Uint8Array, Uint8Array];
  return x.length === y.length && x.every((byte, i) => byte === y[i]);
}
