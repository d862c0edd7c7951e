/** Addresses and guards of a body's accesses: summed up scope by scope, so that the innermost one adds as little as it can. */
import { invariant } from "../../../errors.ts";
import type { Guard, Index, Instr, Store } from "../../../ir/kernel.ts";
import type { Address, AddressLocal } from "../address.ts";
import type { Code } from "./code.ts";
import type { Push } from "./push.ts";
import { moved, type Place } from "./memory.ts";
import { lane, splat } from "./ops.ts";
import { guardStream, indexStream, type Stream } from "./stream.ts";
import type { Nest, Scope, Values } from "./values.ts";

/** Whoever has an address: an instruction that loads, or a store. */
export type Access = Instr | Store;

export class Addresses {
  readonly #c: Code;
  readonly #nest: Nest;
  readonly #values: Values;
  /** Keyed by use, not by index: a load and a store may share one index object and still walk through different arguments. */
  readonly #streams = new Map<Access | Guard, Stream>();

  constructor(code: Code, nest: Nest, values: Values) {
    this.#c = code;
    this.#nest = nest;
    this.#values = values;
    for (const instr of nest.body) {
      if (instr.op === "load") this.#register(instr, instr.arg, instr.index);
      if (instr.op === "inbounds") for (const guard of instr.guards) this.#streams.set(guard, guardStream(guard));
    }
  }

  /** Makes a store known, which a body does not list. */
  add(store: Store): void {
    if (!this.#streams.has(store)) this.#register(store, store.arg, store.index);
  }

  #register(use: Access, arg: number, index: Index): void {
    this.#streams.set(use, indexStream(arg, index, this.#nest.args));
    for (const guard of index.guards ?? []) this.#streams.set(guard, guardStream(guard));
  }

  // --- summing up, where a scope is entered

  /** Sums an access's address, and its guards, as far as this scope's coordinates and the values of reduction stages up to `stage` allow. */
  sumAddress(scope: Scope, use: Access, index: Index, stage: number): void {
    this.#sumUp(scope, this.#streams.get(use)!, stage);
    this.sumGuards(scope, index.guards ?? [], stage);
  }

  #sumUp(scope: Scope, stream: Stream, stage: number): void {
    if (
      stream.dynamic.some(
        (t) => this.#values.depth[t.value]! <= scope.depth && this.#values.facts.stage[t.value]! > stage,
      )
    )
      return;
    this.#fullPointer(scope, stream);
  }

  sumGuards(scope: Scope, guards: readonly Guard[], stage: number): void {
    for (const guard of guards) this.#sumUp(scope, this.#streams.get(guard)!, stage);
  }

  /** Address with coordinates up to this scope, in a local. */
  #pointer(scope: Scope, stream: Stream): Pointer {
    const known = scope.pointers.get(stream.key);
    if (known !== undefined) return { local: known };
    const c = this.#c;
    const below: Pointer =
      scope.parent === undefined ? { constant: stream.offset } : this.#fullPointer(scope.parent, stream);
    let sum: Address | undefined;
    const add = (x: Address): void => {
      sum = sum === undefined ? x : c.at.plus(sum, x);
    };
    if (scope.parent === undefined && stream.arg >= 0) add(c.at.get(this.#nest.argLocals[stream.arg]!));
    stream.strides.forEach((stride, d) => {
      if (stride !== 0 && this.#nest.depth[d] === scope.depth) add(c.at.scaled(c.get(this.#nest.coords[d]!), stride));
    });
    if (sum === undefined) return below;
    if ("local" in below || below.constant !== 0) add(pushPointer(c, below));
    invariant(scope.open, `an address of depth ${scope.depth} was not summed up when the scope was entered`);
    const local = c.at.keep(sum);
    scope.pointers.set(stream.key, local);
    return { local };
  }

  /** The same plus the scalar dynamic terms known at this depth. */
  #fullPointer(scope: Scope, stream: Stream): Pointer {
    const known = scope.fullPointers.get(stream.key);
    if (known !== undefined) return { local: known };
    const below = this.#pointer(scope, stream);
    const terms = this.#ownTerms(scope, stream);
    if (terms.length === 0) return below;
    const c = this.#c;
    invariant(scope.open, `a dynamic address of depth ${scope.depth} was not summed up when the scope was entered`);
    const local = c.at.keep(
      terms.reduce(
        (sum, t) => c.at.plus(sum, c.at.scaled(this.#values.value(scope, t.value), t.stride)),
        pushPointer(c, below),
      ),
    );
    scope.fullPointers.set(stream.key, local);
    return { local };
  }

  /** Scalar dynamic terms whose value belongs to this very depth. */
  #ownTerms(scope: Scope, stream: Stream): Stream["dynamic"] {
    return stream.dynamic.filter((t) => {
      const depth = this.#values.depth[t.value]!;
      return depth === scope.depth && !this.#values.isVector(scope, t.value);
    });
  }

  /** Where copy `copy` of an access begins: lane 0 in vector scopes. */
  of(scope: Scope, access: Access, copy: number): Place {
    return this.#at(scope, this.#streams.get(access)!, copy);
  }

  /** `at`, lane 0 of an access, moved by some bytes. */
  moved(access: Access, at: Place, bytes: number): Place {
    return this.#moved(this.#streams.get(access)!, at, bytes);
  }

  #at(scope: Scope, stream: Stream, copy: number): Place {
    const c = this.#c;
    const base = pushPointer(c, this.#fullPointer(scope, stream));
    return this.#moved(stream, { base, offset: 0 }, copy * scope.lanes * this.#laneStride(stream));
  }

  /**
   * WebAssembly adds constant offsets without wrapping, which needs a base that is itself an address. Affine indices are valid at
   * lane 0 of copy 0; where a guard may fail, or a lane's own term is still to come, the base may be anything.
   */
  #moved(stream: Stream, at: Place, bytes: number): Place {
    if (bytes === 0) return at;
    if (stream.dynamic.length === 0 && !stream.guarded) return moved(this.#c, at, bytes);
    return { base: this.#c.at.plus(at.base, this.#c.at.bytes(at.offset + bytes)), offset: 0 };
  }

  #laneStride(stream: Stream): number {
    return this.#nest.laneDim < 0 ? 0 : (stream.strides[this.#nest.laneDim] ?? 0);
  }

  /** Sum of the dynamic terms that differ by lane, or undefined when there are none. */
  #laneTerms(scope: Scope, stream: Stream, copy: number): Push | undefined {
    const c = this.#c;
    let sum: Push | undefined;
    for (const term of stream.dynamic) {
      if (!this.#values.isVector(scope, term.value)) continue;
      const x = this.#values.value(scope, term.value, copy);
      const product = term.stride === 1 ? x : c.i4("mul", x, c.i4const(term.stride));
      sum = sum === undefined ? product : c.i4("add", sum, product);
    }
    return sum && c.let4(sum);
  }

  /** Address of each lane. */
  ofLanes(scope: Scope, access: Access, copy: number): (lane: number) => Place {
    const c = this.#c;
    const stream = this.#streams.get(access)!;
    const first = this.#at(scope, stream, copy);
    const terms = this.#laneTerms(scope, stream, copy);
    const stride = this.#laneStride(stream);
    return (i) => {
      const base = terms === undefined ? first.base : c.at.plus(first.base, c.at.index(lane(c, "i32", terms, i)));
      return this.#moved(stream, { base, offset: first.offset }, i * stride);
    };
  }

  /** Adjacent lanes are adjacent elements of `bytes` bytes. */
  contiguous(scope: Scope, access: Access, bytes: number): boolean {
    const stream = this.#streams.get(access)!;
    return this.#laneStride(stream) === bytes && !stream.dynamic.some((t) => this.#values.isVector(scope, t.value));
  }

  // --- guards

  guardVaries(scope: Scope, guard: Guard): boolean {
    const stream = this.#streams.get(guard)!;
    return (
      scope.lanes === 4 &&
      (this.#laneStride(stream) !== 0 || stream.dynamic.some((t) => this.#values.isVector(scope, t.value)))
    );
  }

  /** Whether all of `guards`, none of which varies over the lanes, hold. */
  scalarGuards(scope: Scope, guards: readonly Guard[], copy: number): Push | undefined {
    const c = this.#c;
    const tests = guards.map((guard) => {
      const { base, offset } = this.#at(scope, this.#streams.get(guard)!, copy);
      return c.at.below(c.at.moved(base, offset), c.at.bytes(guard.size));
    });
    return tests.length === 0 ? undefined : tests.reduce((a, b) => c.op("i32.and", a, b));
  }

  vectorGuards(scope: Scope, guards: readonly Guard[], copy: number): Push | undefined {
    const c = this.#c;
    const tests = guards.map((guard) => {
      const stream = this.#streams.get(guard)!;
      const { base, offset } = this.#at(scope, stream, copy);
      const stride = this.#laneStride(stream);
      let at = c.i4("add", c.at.lanes(base), c.i4lanes([0, 1, 2, 3].map((i) => offset + i * stride)));
      const terms = this.#laneTerms(scope, stream, copy);
      if (terms !== undefined) at = c.i4("add", at, terms);
      return c.i4("lt_u", at, c.i4const(guard.size));
    });
    return tests.length === 0 ? undefined : tests.reduce((a, b) => c.v("and", a, b));
  }

  inbounds(scope: Scope, guards: readonly Guard[], copy: number, vector: boolean): Push {
    const c = this.#c;
    const same = this.scalarGuards(
      scope,
      guards.filter((g) => !this.guardVaries(scope, g)),
      copy,
    );
    if (!vector) return same ?? c.i32(1);
    const mask =
      this.vectorGuards(
        scope,
        guards.filter((g) => this.guardVaries(scope, g)),
        copy,
      ) ?? c.i4const(-1);
    return same === undefined ? mask : c.v("and", mask, splat(c, "bool", same));
  }
}

/** An address summed up so far: in a local, or still a constant. */
type Pointer = { readonly local: AddressLocal } | { readonly constant: number };

function pushPointer(c: Code, pointer: Pointer): Address {
  return "local" in pointer ? c.at.get(pointer.local) : c.at.bytes(pointer.constant);
}
