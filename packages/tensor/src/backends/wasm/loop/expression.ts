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
import { bytesOf } from "../../../dtype.ts";
import { invariant } from "../../../errors.ts";
import { isNeverPositive } from "../../../ir/facts.ts";
import type { Instr, Store, ValueId } from "../../../ir/kernel.ts";
import { Addresses } from "./addresses.ts";
import type { Code } from "./code.ts";
import type { Local, Push } from "./push.ts";
import { counters, unpack, vectorsPerCall, type Random, type Shared } from "./draws.ts";
import {
  loadIntoLane,
  loadLanes,
  loadScalar,
  loadVector,
  registerType,
  storeLanes,
  storeScalar,
  storeVector,
  type Place,
} from "./memory.ts";
import { binary, cast, constant, lane, roundTo, unary } from "./ops.ts";
import { threefry } from "./threefry.ts";
import { Values, type Nest, type Scope } from "./values.ts";

export type { Nest, Scope } from "./values.ts";

/** Calls of Threefry that run interleaved; more want more registers than there are. */
const CALLS_ABREAST = 2;

export class ExpressionEmitter {
  readonly #c: Code;
  readonly #nest: Nest;
  readonly #values: Values;
  readonly #addresses: Addresses;

  constructor(code: Code, nest: Nest) {
    this.#c = code;
    this.#nest = nest;
    this.#values = new Values(code, nest);
    this.#addresses = new Addresses(code, nest, this.#values);
  }

  scope(...args: Parameters<Values["scope"]>): Scope {
    return this.#values.scope(...args);
  }
  /** Gives the emitter a value that was computed outside: a reduction, or a value read back from scratch. */
  hold(scope: Scope, v: ValueId, copy: number, local: Local): void {
    this.#values.hold(scope, v, copy, local);
  }
  isVector(scope: Scope, v: ValueId): boolean {
    return this.#values.isVector(scope, v);
  }
  value(scope: Scope, v: ValueId, copy: number = 0): Push {
    return this.#values.value(scope, v, copy);
  }
  vector(scope: Scope, v: ValueId, copy: number = 0): Push {
    return this.#values.vector(scope, v, copy);
  }

  /**
   * Emits what `needed` asks for at the scope's depth, and sums addresses of `needed` deeper accesses and of `stores` up to here.
   * Values of a later reduction stage are left for another call once the reductions are held (`hold`).
   */
  enter(scope: Scope, needed: readonly boolean[], stores: readonly Store[] = [], stage: number = 0): void {
    const { body } = this.#nest;
    const { depth, facts } = this.#values;
    scope.open = true;
    for (const store of stores) this.#addresses.add(store);
    body.forEach((instr, v) => {
      if (!needed[v] || depth[v] !== scope.depth || facts.stage[v]! > stage) return;
      if (instr.op === "const" || instr.op === "reduce" || this.#values.held(scope, v)) return;
      if (this.isVector(scope, v)) {
        const drawn = instr.op === "random" ? this.#draw(scope, instr) : undefined;
        for (let u = 0; u < scope.copies; u++)
          scope.varying[u]!.set(v, this.#c.keep("v128", drawn?.[u] ?? this.#compute(scope, v, u)));
      } else if (this.#values.varies(v) && scope.copies > 1) {
        invariant(false, "scalar scopes have one copy");
      } else {
        scope.uniform.set(v, this.#c.keep(instr.type === "f32" ? "f32" : "i32", this.#compute(scope, v, 0)));
      }
    });
    body.forEach((instr, v) => {
      if (!needed[v] || depth[v]! <= scope.depth) return;
      if (instr.op === "load") this.#addresses.sumAddress(scope, instr, instr.index, stage);
      if (instr.op === "inbounds") this.#addresses.sumGuards(scope, instr.guards, stage);
    });
    for (const store of stores) this.#addresses.sumAddress(scope, store, store.index, stage);
    scope.open = false;
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
      case "inbounds":
        return this.#addresses.inbounds(scope, instr.guards, copy, vector);
      case "load":
        return this.#load(scope, instr, copy, vector);
      case "select": {
        const [cond, a, b] = [get(instr.cond), get(instr.a), get(instr.b)];
        return vector ? c.v("bitselect", a, b, cond) : c.select(a, b, cond);
      }
      case "cast": {
        const from = this.#nest.body[instr.a]!;
        // a byte is the same number with a sign, which x64 converts in one instruction instead of eight
        const byte = from.op === "load" && this.#nest.args[from.arg]!.dtype === "u8";
        return cast(c, byte ? "i32" : from.type, instr.type, get(instr.a), vector);
      }
      case "round":
        return roundTo(c, instr.to, get(instr.a), vector);
      case "random":
        return c.lane("i32x4.extract_lane", this.#drawFrom(scope, instr, [copy], 1)[0]!, 0);
      case "const":
      case "reduce":
        invariant(false, `${instr.op} is not computed here`);
    }
    if ("b" in instr) {
      const shift = this.isVector(scope, instr.b) ? undefined : this.value(scope, instr.b, copy);
      return binary(c, instr.op, typeOf(instr.a), get(instr.a), get(instr.b), { vector, shift });
    }
    const op = instr.op === "exp" && isNeverPositive(this.#nest.body, instr.a) ? "expBelow0" : instr.op;
    return unary(c, op, typeOf(instr.a), get(instr.a), vector);
  }

  /** Random bits of every copy. */
  #draw(scope: Scope, instr: Random): readonly Push[] {
    const own = [instr.k0, instr.k1, instr.row].some((v) => this.#values.varies(v));
    const most = scope.aligned && !own ? vectorsPerCall(this.#nest.body, instr, this.#nest.laneDim) : 1;
    const count = ([4, 2, 1] as const).find((n) => n <= most && scope.copies % n === 0)!;
    const starts = Array.from({ length: scope.copies / count }, (_, i) => i * count);
    const abreast = own ? 1 : CALLS_ABREAST;
    return starts.flatMap((_, i) =>
      i % abreast === 0 ? this.#drawFrom(scope, instr, starts.slice(i, i + abreast), count) : [],
    );
  }

  /** Random bits of `count` copies from each of `starts` on, a call for each; the copies have key and row in common. */
  #drawFrom(scope: Scope, instr: Random, starts: readonly number[], count: Shared): readonly Push[] {
    const c = this.#c;
    const at = (id: ValueId, copy: number): Push => c.let4(this.#values.vector4(scope, id, copy));
    const indices = starts.map((copy) => at(instr.index, copy));
    const [k0, k1, row] = [instr.k0, instr.k1, instr.row].map((id) => at(id, starts[0]!)) as [Push, Push, Push];
    const words = threefry(
      c,
      k0,
      k1,
      indices.map((index) => counters(c, instr.bits, index)),
      row,
    );
    return words.flatMap((pair, i) => unpack(c, instr.bits, pair, indices[i]!, count));
  }

  #load(scope: Scope, instr: Extract<Instr, { op: "load" }>, copy: number, vector: boolean): Push {
    const c = this.#c;
    const { dtype } = this.#nest.args[instr.arg]!;
    invariant(
      registerType(dtype) === instr.type,
      `a ${dtype} argument loads as ${registerType(dtype)}, not ${instr.type}`,
    );
    const addresses = this.#addresses;
    const guards = instr.index.guards ?? [];
    const fill = constant(c, instr.type, instr.index.fill ?? 0, vector);
    const same = addresses.scalarGuards(
      scope,
      guards.filter((g) => !addresses.guardVaries(scope, g)),
      copy,
    );
    if (!vector) {
      const at = addresses.of(scope, instr, copy);
      if (same === undefined) return loadScalar(c, dtype, at);
      const out = c.local(instr.type === "f32" ? "f32" : "i32");
      c.if(
        same,
        () => c.set(out, loadScalar(c, dtype, at)),
        () => c.set(out, fill),
      );
      return c.get(out);
    }
    const bytes = bytesOf(dtype);
    const apart = addresses.contiguous(scope, instr, bytes) ? undefined : addresses.ofLanes(scope, instr, copy);
    const first = addresses.of(scope, instr, copy);
    const whole = (): Push => (apart === undefined ? loadVector(c, dtype, first) : loadLanes(c, dtype, apart));
    const mask = addresses.vectorGuards(
      scope,
      guards.filter((g) => addresses.guardVaries(scope, g)),
      copy,
    );
    if (same === undefined && mask === undefined) return whole();
    const out = c.local("v128");
    const guarded = (): void => {
      if (mask === undefined) return c.set(out, whole());
      const held = c.let4(mask);
      const at = apart ?? ((i: number): Place => addresses.moved(instr, first, i * bytes));
      c.if(
        c.op("i32x4.all_true", held),
        () => c.set(out, whole()),
        () => {
          c.set(out, fill);
          for (let i = 0; i < 4; i++)
            c.if(lane(c, "i32", held, i), () => c.set(out, loadIntoLane(c, dtype, at(i), c.get(out), i)));
        },
      );
    };
    if (same === undefined) guarded();
    else c.if(same, guarded, () => c.set(out, fill));
    return c.get(out);
  }

  /** Writes copy `copy` of a store whose value and index are available in `scope`. */
  store(scope: Scope, store: Store, copy: number = 0): void {
    const c = this.#c;
    const { dtype } = this.#nest.args[store.arg]!;
    const type = this.#nest.body[store.value]!.type;
    invariant(registerType(dtype) === type, `a ${dtype} argument stores ${registerType(dtype)}, not ${type}`);
    const addresses = this.#addresses;
    if (scope.lanes === 1)
      return storeScalar(c, dtype, addresses.of(scope, store, copy), this.value(scope, store.value, copy));
    const value = this.vector(scope, store.value, copy);
    if (addresses.contiguous(scope, store, bytesOf(dtype)))
      storeVector(c, dtype, addresses.of(scope, store, copy), value);
    else storeLanes(c, dtype, addresses.ofLanes(scope, store, copy), value);
  }
}
