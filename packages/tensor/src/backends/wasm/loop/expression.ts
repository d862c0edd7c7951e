/**
 * Prints IR bodies as WebAssembly inside loops that somebody else writes: loop kernels, GEMM prologues and epilogues, scatter sources.
 *
 * Use: describe the nest once (`ExpressionEmitter`), then mirror it with scopes. `enter` a scope where the coordinates of its depth
 * are in their locals: everything that can be computed there is, and addresses are summed up as far as they go. In the
 * innermost scope `value` yields results and `store` writes them.
 *
 * A scope has four lanes along `laneDim` or one; `copies` unrolls it: copy u stands `u · lanes` further along the lane dimension.
 * Values that do not depend on the lane dimension are scalars shared by all copies.
 */
import { invariant } from "../../../errors.ts";
import { bodyFacts, isNeverPositive, type BodyFacts } from "../../../ir/facts.ts";
import type { Arg, Guard, Index, Instr, Store, ValueId } from "../../../ir/kernel.ts";
import type { Code, Local, Push } from "./code.ts";
import { counters, unpack, vectorsPerCall, type Random, type Shared } from "./draws.ts";
import { loadIntoLane, loadLanes, loadScalar, loadVector, moved, registerType, storeLanes, storeScalar, storeVector, type Address } from "./memory.ts";
import { binary, cast, constant, lane, roundTo, splat, unary } from "./ops.ts";
import { guardStream, indexStream, type Stream } from "./stream.ts";
import { threefry } from "./threefry.ts";

/** Calls of Threefry that run interleaved; more want more registers than there are. */
const CALLS_ABREAST = 2;

export interface Nest {
  readonly body: readonly Instr[];
  readonly args: readonly Arg[];
  /** Byte address of each argument. */
  readonly argLocals: readonly Local[];
  /** Coordinate of each dimension, an i32. It must hold its value from the scope of the dimension's depth inwards. */
  readonly coords: readonly Local[];
  /** Depth of the loop that runs each dimension; 0 is the function itself. Several dimensions may share a depth. */
  readonly depth: readonly number[];
  /** The dimension lanes run along, or -1 for scalar code throughout. */
  readonly laneDim: number;
  /** Dimensions before the ones that `reduce` sums over. Default: all. */
  readonly outerRank?: number;
  /** Least depth of values that depend on a reduction. Default 0. */
  readonly reducedDepth?: number;
  /** Accumulator `index` in copy u: a vector in scopes of four lanes, else a scalar. */
  readonly acc?: (scope: Scope, index: number, copy: number) => Push;
}

/** What a loop level has in locals. Made by `ExpressionEmitter.scope`. */
export interface Scope {
  readonly parent: Scope | undefined;
  readonly depth: number;
  readonly lanes: 1 | 4;
  readonly copies: number;
  /** Copy 0 begins at a multiple of lanes · copies of the lane dimension. */
  readonly aligned: boolean;
  readonly uniform: Map<ValueId, Local>;
  /** Per copy. */
  readonly varying: readonly Map<ValueId, Local>[];
  /** Addresses with this scope's coordinates, and with its dynamic values too. */
  readonly pointers: Map<string, Local>;
  readonly fullPointers: Map<string, Local>;
  /** Whether code may still be put into this scope. */
  open: boolean;
}

export class ExpressionEmitter {
  readonly facts: BodyFacts;
  readonly valueDepth: readonly number[];
  readonly #c: Code;
  readonly #nest: Nest;
  /** Keyed by use, not by index: a load and a store may share one index object and still walk through different arguments. */
  readonly #streams = new Map<Instr | Store | Guard, Stream>();

  constructor(code: Code, nest: Nest) {
    this.#c = code;
    this.#nest = nest;
    const { body, depth } = nest;
    this.facts = bodyFacts(body, nest.outerRank ?? depth.length, depth.length);
    this.valueDepth = body.map((_, v) => this.#depthOf(this.facts.dims[v]!, this.facts.stage[v]! > 0 ? (nest.reducedDepth ?? 0) : 0));
    for (const instr of body) {
      if (instr.op === "load") this.#register(instr, instr.arg, instr.index);
      if (instr.op === "inbounds") for (const guard of instr.guards) this.#streams.set(guard, guardStream(guard));
    }
  }

  #register(use: Instr | Store, arg: number, index: Index): void {
    this.#streams.set(use, indexStream(arg, index, this.#nest.args));
    for (const guard of index.guards ?? []) this.#streams.set(guard, guardStream(guard));
  }

  #depthOf(dims: number, least: number): number {
    return this.#nest.depth.reduce((deepest, at, d) => (dims & (1 << d) ? Math.max(deepest, at) : deepest), least);
  }

  scope(parent: Scope | undefined, depth: number, lanes: 1 | 4 = parent?.lanes ?? 1, copies: number = parent?.copies ?? 1, aligned: boolean = parent?.aligned ?? false): Scope {
    invariant((parent === undefined) === (depth === 0) && (parent === undefined || parent.depth === depth - 1), "scopes nest one depth at a time, from 0");
    const varying = Array.from({ length: copies }, () => new Map<ValueId, Local>());
    return { parent, depth, lanes, copies, aligned, uniform: new Map(), varying, pointers: new Map(), fullPointers: new Map(), open: false };
  }

  /**
   * Emits what `needed` asks for at the scope's depth, and sums addresses of `needed` deeper accesses and of `stores` up to here.
   * Values of a later reduction stage are left for another call once the reductions are held (`hold`).
   */
  enter(scope: Scope, needed: readonly boolean[], stores: readonly Store[] = [], stage: number = 0): void {
    const { body } = this.#nest;
    scope.open = true;
    for (const store of stores) if (!this.#streams.has(store)) this.#register(store, store.arg, store.index);
    body.forEach((instr, v) => {
      if (!needed[v] || this.valueDepth[v] !== scope.depth || this.facts.stage[v]! > stage) return;
      if (instr.op === "const" || instr.op === "reduce" || this.#held(scope, v)) return;
      if (this.isVector(scope, v)) {
        const drawn = instr.op === "random" ? this.#draw(scope, instr) : undefined;
        for (let u = 0; u < scope.copies; u++) scope.varying[u]!.set(v, this.#c.keep("v128", drawn?.[u] ?? this.#compute(scope, v, u)));
      } else if (this.#varies(v) && scope.copies > 1) {
        invariant(false, "scalar scopes have one copy");
      } else {
        scope.uniform.set(v, this.#c.keep(instr.type === "f32" ? "f32" : "i32", this.#compute(scope, v, 0)));
      }
    });
    body.forEach((instr, v) => {
      if (!needed[v] || this.valueDepth[v]! <= scope.depth) return;
      if (instr.op === "load") this.#sumAddress(scope, instr, instr.index, stage);
      if (instr.op === "inbounds") for (const guard of instr.guards) this.#sumUp(scope, this.#streams.get(guard)!, stage);
    });
    for (const store of stores) this.#sumAddress(scope, store, store.index, stage);
    scope.open = false;
  }

  #sumAddress(scope: Scope, use: Instr | Store, index: Index, stage: number): void {
    this.#sumUp(scope, this.#streams.get(use)!, stage);
    for (const guard of index.guards ?? []) this.#sumUp(scope, this.#streams.get(guard)!, stage);
  }

  #sumUp(scope: Scope, stream: Stream, stage: number): void {
    if (stream.dynamic.some((t) => this.valueDepth[t.value]! <= scope.depth && this.facts.stage[t.value]! > stage)) return;
    this.#fullPointer(scope, stream);
  }

  /** Gives the emitter a value that was computed outside: a reduction, or a value read back from scratch. */
  hold(scope: Scope, v: ValueId, copy: number, local: Local): void {
    if (this.isVector(scope, v)) scope.varying[copy]!.set(v, local);
    else scope.uniform.set(v, local);
  }

  #varies(v: ValueId): boolean {
    return this.#nest.laneDim >= 0 && (this.facts.dims[v]! & (1 << this.#nest.laneDim)) !== 0;
  }

  /** Whether the value has one element a lane in this scope. */
  isVector(scope: Scope, v: ValueId): boolean {
    return scope.lanes === 4 && this.#varies(v);
  }

  #held(scope: Scope, v: ValueId): boolean {
    return scope.uniform.has(v) || scope.varying[0]!.has(v);
  }

  /** A value in the form this scope computes it in: see `isVector`. */
  value(scope: Scope, v: ValueId, copy: number = 0): Push {
    const instr = this.#nest.body[v]!;
    const vector = this.isVector(scope, v);
    if (instr.op === "const") return constant(this.#c, instr.type, instr.value, false);
    for (let s: Scope | undefined = scope; s !== undefined; s = s.parent) {
      const local = vector ? s.varying[copy]?.get(v) : s.uniform.get(v);
      if (local !== undefined) return this.#c.get(local);
    }
    invariant(false, `value ${v} (${instr.op}) is not available at depth ${scope.depth}`);
  }

  /** A value on four lanes, splatted if need be. */
  vector(scope: Scope, v: ValueId, copy: number = 0): Push {
    const instr = this.#nest.body[v]!;
    if (instr.op === "const") return constant(this.#c, instr.type, instr.value, true);
    const x = this.value(scope, v, copy);
    return this.isVector(scope, v) ? x : splat(this.#c, instr.type, x);
  }

  #compute(scope: Scope, v: ValueId, copy: number): Push {
    const c = this.#c;
    const instr = this.#nest.body[v]!;
    const vector = this.isVector(scope, v);
    const get = (id: ValueId): Push => (vector ? this.vector(scope, id, copy) : this.value(scope, id, copy));
    const typeOf = (id: ValueId): Instr["type"] => this.#nest.body[id]!.type;
    switch (instr.op) {
      case "coord": {
        const at = c.get(this.#nest.coords[instr.dim]!);
        return vector ? c.i4("add", c.op("i32x4.splat", at), c.i4lanes([0, 1, 2, 3].map((i) => i + 4 * copy))) : at;
      }
      case "acc": {
        invariant(this.#nest.acc !== undefined, "`acc` outside a GEMM epilogue");
        return this.#nest.acc(scope, instr.index, copy);
      }
      case "inbounds": return this.#inbounds(scope, instr.guards, copy, vector);
      case "load": return this.#load(scope, instr, copy, vector);
      case "select": {
        const [cond, a, b] = [get(instr.cond), get(instr.a), get(instr.b)];
        return vector ? c.v("bitselect", a, b, cond) : c.select(a, b, cond);
      }
      case "cast": return cast(c, typeOf(instr.a), instr.type, get(instr.a), vector);
      case "round": return roundTo(c, instr.to, get(instr.a), vector);
      case "random": return c.lane("i32x4.extract_lane", this.#drawFrom(scope, instr, [copy], 1)[0]!, 0);
      case "const": case "reduce":
        invariant(false, `${instr.op} is not computed here`);
    }
    if ("b" in instr) {
      const shift = this.isVector(scope, instr.b) ? undefined : this.value(scope, instr.b, copy);
      return binary(c, instr.op, typeOf(instr.a), get(instr.a), get(instr.b), vector, shift);
    }
    const op = instr.op === "exp" && isNeverPositive(this.#nest.body, instr.a) ? "expBelow0" : instr.op;
    return unary(c, op, typeOf(instr.a), get(instr.a), vector);
  }

  /** Random bits of every copy. */
  #draw(scope: Scope, instr: Random): readonly Push[] {
    const own = [instr.k0, instr.k1, instr.site].some((v) => this.#varies(v));
    const most = scope.aligned && !own ? vectorsPerCall(this.#nest.body, instr, this.#nest.laneDim) : 1;
    const count = ([4, 2, 1] as const).find((n) => n <= most && scope.copies % n === 0)!;
    const starts = Array.from({ length: scope.copies / count }, (_, i) => i * count);
    const abreast = own ? 1 : CALLS_ABREAST;
    return starts.flatMap((_, i) => (i % abreast === 0 ? this.#drawFrom(scope, instr, starts.slice(i, i + abreast), count) : []));
  }

  /** Random bits of `count` copies from each of `starts` on, a call for each; the copies have key and site in common. */
  #drawFrom(scope: Scope, instr: Random, starts: readonly number[], count: Shared): readonly Push[] {
    const c = this.#c;
    const at = (id: ValueId, copy: number): Push => c.let4(this.#vector4(scope, id, copy));
    const indices = starts.map((copy) => at(instr.index, copy));
    const [k0, k1, site] = [instr.k0, instr.k1, instr.site].map((id) => at(id, starts[0]!)) as [Push, Push, Push];
    const words = threefry(c, k0, k1, indices.map((index) => counters(c, instr.bits, index)), site);
    return words.flatMap((pair, i) => unpack(c, instr.bits, pair, indices[i]!, count));
  }

  /** Like `vector`, also where the scope has one lane. */
  #vector4(scope: Scope, v: ValueId, copy: number): Push {
    return scope.lanes === 4 ? this.vector(scope, v, copy) : splat(this.#c, this.#nest.body[v]!.type, this.value(scope, v, copy));
  }

  // --- addresses

  /** Address with coordinates up to this scope, in a local. */
  #pointer(scope: Scope, stream: Stream): Pointer {
    const known = scope.pointers.get(stream.key);
    if (known !== undefined) return { local: known };
    const c = this.#c;
    const below: Pointer = scope.parent === undefined ? { constant: stream.offset } : this.#fullPointer(scope.parent, stream);
    let sum: Push | undefined;
    const add = (x: Push): void => { sum = sum === undefined ? x : c.op("i32.add", sum, x); };
    if (scope.parent === undefined && stream.arg >= 0) add(c.get(this.#nest.argLocals[stream.arg]!));
    stream.strides.forEach((stride, d) => {
      if (stride !== 0 && this.#nest.depth[d] === scope.depth) add(scaled(c, c.get(this.#nest.coords[d]!), stride));
    });
    if (sum === undefined) return below;
    if ("local" in below || below.constant !== 0) add(pushPointer(c, below));
    invariant(scope.open, `an address of depth ${scope.depth} was not summed up when the scope was entered`);
    const local = c.keep("i32", sum);
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
    const local = c.keep("i32", terms.reduce((sum, t) => c.op("i32.add", sum, scaled(c, this.value(scope, t.value), t.stride)), pushPointer(c, below)));
    scope.fullPointers.set(stream.key, local);
    return { local };
  }

  /** Scalar dynamic terms whose value belongs to this very depth. */
  #ownTerms(scope: Scope, stream: Stream): Stream["dynamic"] {
    return stream.dynamic.filter((t) => {
      const depth = this.valueDepth[t.value]!;
      return depth === scope.depth && !this.isVector(scope, t.value);
    });
  }

  /** Where copy `copy` begins: lane 0 in vector scopes. */
  #address(scope: Scope, stream: Stream, copy: number): Address {
    const c = this.#c;
    const base = pushPointer(c, this.#fullPointer(scope, stream));
    return this.#moved(stream, { base, offset: 0 }, copy * scope.lanes * this.#laneStride(stream));
  }

  /**
   * WebAssembly adds constant offsets without wrapping, which needs a base that is itself an address. Affine indices are valid at
   * lane 0 of copy 0; where a guard may fail, or a lane's own term is still to come, the base may be anything.
   */
  #moved(stream: Stream, at: Address, bytes: number): Address {
    if (bytes === 0) return at;
    if (stream.dynamic.length === 0 && !stream.guarded) return moved(this.#c, at, bytes);
    return { base: this.#c.op("i32.add", at.base, this.#c.i32(at.offset + bytes)), offset: 0 };
  }

  #laneStride(stream: Stream): number {
    return this.#nest.laneDim < 0 ? 0 : (stream.strides[this.#nest.laneDim] ?? 0);
  }

  /** Sum of the dynamic terms that differ by lane, or undefined when there are none. */
  #laneTerms(scope: Scope, stream: Stream, copy: number): Push | undefined {
    const c = this.#c;
    let sum: Push | undefined;
    for (const term of stream.dynamic) {
      if (!this.isVector(scope, term.value)) continue;
      const x = this.value(scope, term.value, copy);
      const product = term.stride === 1 ? x : c.i4("mul", x, c.i4const(term.stride));
      sum = sum === undefined ? product : c.i4("add", sum, product);
    }
    return sum && c.let4(sum);
  }

  /** Address of each lane. */
  #laneAddresses(scope: Scope, stream: Stream, copy: number): (lane: number) => Address {
    const c = this.#c;
    const first = this.#address(scope, stream, copy);
    const terms = this.#laneTerms(scope, stream, copy);
    const stride = this.#laneStride(stream);
    return (i) => {
      const base = terms === undefined ? first.base : c.op("i32.add", first.base, lane(c, "i32", terms, i));
      return this.#moved(stream, { base, offset: first.offset }, i * stride);
    };
  }

  /** Adjacent lanes are adjacent elements of `bytes` bytes. */
  #contiguous(scope: Scope, stream: Stream, bytes: number): boolean {
    return this.#laneStride(stream) === bytes && !stream.dynamic.some((t) => this.isVector(scope, t.value));
  }

  // --- guards

  #guardVaries(scope: Scope, guard: Guard): boolean {
    const stream = this.#streams.get(guard)!;
    return scope.lanes === 4 && (this.#laneStride(stream) !== 0 || stream.dynamic.some((t) => this.isVector(scope, t.value)));
  }

  /** Whether all of `guards`, none of which varies over the lanes, hold. */
  #scalarGuards(scope: Scope, guards: readonly Guard[], copy: number): Push | undefined {
    const c = this.#c;
    const tests = guards.map((guard) => {
      const { base, offset } = this.#address(scope, this.#streams.get(guard)!, copy);
      return c.op("i32.lt_u", offset === 0 ? base : c.op("i32.add", base, c.i32(offset)), c.i32(guard.size));
    });
    return tests.length === 0 ? undefined : tests.reduce((a, b) => c.op("i32.and", a, b));
  }

  #vectorGuards(scope: Scope, guards: readonly Guard[], copy: number): Push | undefined {
    const c = this.#c;
    const tests = guards.map((guard) => {
      const stream = this.#streams.get(guard)!;
      const { base, offset } = this.#address(scope, stream, copy);
      const stride = this.#laneStride(stream);
      let at = c.i4("add", c.op("i32x4.splat", base), c.i4lanes([0, 1, 2, 3].map((i) => offset + i * stride)));
      const terms = this.#laneTerms(scope, stream, copy);
      if (terms !== undefined) at = c.i4("add", at, terms);
      return c.i4("lt_u", at, c.i4const(guard.size));
    });
    return tests.length === 0 ? undefined : tests.reduce((a, b) => c.v("and", a, b));
  }

  #inbounds(scope: Scope, guards: readonly Guard[], copy: number, vector: boolean): Push {
    const c = this.#c;
    const same = this.#scalarGuards(scope, guards.filter((g) => !this.#guardVaries(scope, g)), copy);
    if (!vector) return same ?? c.i32(1);
    const mask = this.#vectorGuards(scope, guards.filter((g) => this.#guardVaries(scope, g)), copy) ?? c.i4const(-1);
    return same === undefined ? mask : c.v("and", mask, splat(c, "bool", same));
  }

  // --- memory

  #load(scope: Scope, instr: Extract<Instr, { op: "load" }>, copy: number, vector: boolean): Push {
    const c = this.#c;
    const { dtype } = this.#nest.args[instr.arg]!;
    invariant(registerType(dtype) === instr.type, `a ${dtype} argument loads as ${registerType(dtype)}, not ${instr.type}`);
    const stream = this.#streams.get(instr)!;
    const guards = instr.index.guards ?? [];
    const fill = constant(c, instr.type, instr.index.fill ?? 0, vector);
    const same = this.#scalarGuards(scope, guards.filter((g) => !this.#guardVaries(scope, g)), copy);
    if (!vector) {
      const at = this.#address(scope, stream, copy);
      if (same === undefined) return loadScalar(c, dtype, at);
      const out = c.local(instr.type === "f32" ? "f32" : "i32");
      c.if(same, () => c.set(out, loadScalar(c, dtype, at)), () => c.set(out, fill));
      return c.get(out);
    }
    const bytes = this.#elementBytes(dtype);
    const contiguous = this.#contiguous(scope, stream, bytes);
    const addresses = contiguous ? undefined : this.#laneAddresses(scope, stream, copy);
    const first = this.#address(scope, stream, copy);
    const whole = (): Push => (addresses === undefined ? loadVector(c, dtype, first) : loadLanes(c, dtype, addresses));
    const mask = this.#vectorGuards(scope, guards.filter((g) => this.#guardVaries(scope, g)), copy);
    if (same === undefined && mask === undefined) return whole();
    const out = c.local("v128");
    const guarded = (): void => {
      if (mask === undefined) return c.set(out, whole());
      const held = c.let4(mask);
      const at = addresses ?? ((i: number): Address => this.#moved(stream, first, i * bytes));
      c.if(c.op("i32x4.all_true", held), () => c.set(out, whole()), () => {
        c.set(out, fill);
        for (let i = 0; i < 4; i++) c.if(lane(c, "i32", held, i), () => c.set(out, loadIntoLane(c, dtype, at(i), c.get(out), i)));
      });
    };
    if (same === undefined) guarded();
    else c.if(same, guarded, () => c.set(out, fill));
    return c.get(out);
  }

  #elementBytes(dtype: Arg["dtype"]): number {
    return dtype === "f16" || dtype === "bf16" ? 2 : dtype === "u8" || dtype === "bool" ? 1 : 4;
  }

  /** Writes copy `copy` of a store whose value and index are available in `scope`. */
  store(scope: Scope, store: Store, copy: number = 0): void {
    const c = this.#c;
    const { dtype } = this.#nest.args[store.arg]!;
    const type = this.#nest.body[store.value]!.type;
    invariant(registerType(dtype) === type, `a ${dtype} argument stores ${registerType(dtype)}, not ${type}`);
    const stream = this.#streams.get(store)!;
    if (scope.lanes === 1) return storeScalar(c, dtype, this.#address(scope, stream, copy), this.value(scope, store.value, copy));
    const value = this.vector(scope, store.value, copy);
    if (this.#contiguous(scope, stream, this.#elementBytes(dtype))) storeVector(c, dtype, this.#address(scope, stream, copy), value);
    else storeLanes(c, dtype, this.#laneAddresses(scope, stream, copy), value);
  }
}

/** An address summed up so far: in a local, or still a constant. */
type Pointer = { readonly local: Local } | { readonly constant: number };

function pushPointer(c: Code, pointer: Pointer): Push {
  return "local" in pointer ? c.get(pointer.local) : c.i32(pointer.constant);
}

/** x · factor, as a shift where it is one. */
function scaled(c: Code, x: Push, factor: number): Push {
  if (factor === 1) return x;
  const power = Math.log2(factor);
  return Number.isInteger(power) ? c.op("i32.shl", x, c.i32(power)) : c.op("i32.mul", x, c.i32(factor));
}
