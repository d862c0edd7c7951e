/** What is known where while a body is printed: scopes, one to a loop level, and the locals that hold values in them. */
import { invariant } from "../../../errors.ts";
import { bodyFacts, type BodyFacts } from "../../../ir/facts.ts";
import type { Arg, Instr, ValueId } from "../../../ir/kernel.ts";
import type { AddressLocal } from "../address.ts";
import type { Code } from "./code.ts";
import type { Local, Push } from "./push.ts";
import { constant, splat } from "./ops.ts";

export interface Nest {
  readonly body: readonly Instr[];
  readonly args: readonly Arg[];
  readonly argLocals: readonly AddressLocal[];
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

/** What a loop level has in locals. Made by `Values.scope`. */
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
  readonly pointers: Map<string, AddressLocal>;
  readonly fullPointers: Map<string, AddressLocal>;
  /** Whether code may still be put into this scope. */
  open: boolean;
}

export class Values {
  readonly facts: BodyFacts;
  /** Depth of the scope that each value is computed in. */
  readonly depth: readonly number[];
  readonly #c: Code;
  readonly #nest: Nest;

  constructor(code: Code, nest: Nest) {
    this.#c = code;
    this.#nest = nest;
    const { body, depth } = nest;
    this.facts = bodyFacts(body, nest.outerRank ?? depth.length, depth.length);
    this.depth = body.map((_, v) =>
      this.#depthOf(this.facts.dims[v]!, this.facts.stage[v]! > 0 ? (nest.reducedDepth ?? 0) : 0),
    );
  }

  #depthOf(dims: number, least: number): number {
    return this.#nest.depth.reduce((deepest, at, d) => (dims & (1 << d) ? Math.max(deepest, at) : deepest), least);
  }

  scope(
    parent: Scope | undefined,
    depth: number,
    lanes: 1 | 4 = parent?.lanes ?? 1,
    copies: number = parent?.copies ?? 1,
    aligned: boolean = parent?.aligned ?? false,
  ): Scope {
    invariant(
      (parent === undefined) === (depth === 0) && (parent === undefined || parent.depth === depth - 1),
      "scopes nest one depth at a time, from 0",
    );
    const varying = Array.from({ length: copies }, () => new Map<ValueId, Local>());
    return {
      parent,
      depth,
      lanes,
      copies,
      aligned,
      uniform: new Map(),
      varying,
      pointers: new Map(),
      fullPointers: new Map(),
      open: false,
    };
  }

  /** Takes a value that was computed outside: a reduction, or a value read back from scratch. */
  hold(scope: Scope, v: ValueId, copy: number, local: Local): void {
    if (this.isVector(scope, v)) scope.varying[copy]!.set(v, local);
    else scope.uniform.set(v, local);
  }

  varies(v: ValueId): boolean {
    return this.#nest.laneDim >= 0 && (this.facts.dims[v]! & (1 << this.#nest.laneDim)) !== 0;
  }

  /** Whether the value has one element a lane in this scope. */
  isVector(scope: Scope, v: ValueId): boolean {
    return scope.lanes === 4 && this.varies(v);
  }

  held(scope: Scope, v: ValueId): boolean {
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

  /** Like `vector`, also where the scope has one lane. */
  vector4(scope: Scope, v: ValueId, copy: number): Push {
    return scope.lanes === 4
      ? this.vector(scope, v, copy)
      : splat(this.#c, this.#nest.body[v]!.type, this.value(scope, v, copy));
  }
}
