/**
 * LoopKernel → one WebAssembly function. Rows (or groups of columns) are independent; within one, each reduction level is a pass
 * over the inner dimensions, and a last pass stores elements. See `arrange.ts` for which dimension the lanes take.
 */
import { invariant } from "../../../errors.ts";
import { storesElements } from "../../../ir/facts.ts";
import type { LoopKernel, Store, ValueId } from "../../../ir/kernel.ts";
import type { KernelCode } from "../kernel-code.ts";
import { arrange, type Arrangement } from "./arrange.ts";
import { Code, type CodeOptions, type Local, type Push } from "./code.ts";
import { vectorsPerCall, type Random } from "./draws.ts";
import { ExpressionEmitter, type Scope } from "./expression.ts";
import { chunkLengths, emitLanes } from "./lanes.ts";
import { planPasses, type Pass, type Passes } from "./kept.ts";
import type { Place } from "./memory.ts";
import { Accumulator, acrossLanes, combine } from "./reduction.ts";
import { instrWeight } from "./weight.ts";
import type { ModuleBuilder } from "../asm/index.ts";

/** Longest row whose values may be kept in scratch, in bytes of one slot: beyond, L2 no longer holds it. */
const KEEP_BYTES = 256 * 1024;
/** Least block of a blocked sum, in additions of one accumulator. */
const SUM_BLOCK = 32;
/** Passes heavier than this (ns per element) are unrolled less: their latency hides itself and their code is long. */
const HEAVY_PASS = 1.5;
/** Passes as light as this (a load and an addition) down columns wait for memory: the wider the strip, the longer the runs they read. */
const LIGHT_PASS = 0.4;
/** Heavy passes over rows of this many elements overlap best when unrolled by four; over a quarter of it, by two; short rows overlap with each other. */
const LONG_RUN = 256;
const UNIT_COST = 60;

/** Emits `kernel` as function `exportPrefix` of the signature in `kernel-code.ts`. */
export function emitLoop(
  kernel: LoopKernel,
  module: ModuleBuilder,
  exportPrefix: string,
  options: CodeOptions = {},
): KernelCode {
  const at = arrange(kernel);
  const code = Code.kernel(module, exportPrefix, kernel.args.length, options);
  const emitter = new LoopEmitter(kernel, at, code);
  emitter.emit();
  code.end();
  const points = [...kernel.outer, ...kernel.inner].reduce((n, size) => n * size, 1);
  const weight = kernel.body.reduce(
    (sum, instr, v) => (at.live[v] ? sum + instrWeight(instr, kernel.args) : sum),
    0.1 * kernel.stores.length,
  );
  return {
    phases: [{ exportName: exportPrefix, units: at.units.count, cost: points * weight + at.units.count * UNIT_COST }],
    sharedScratch: 0,
    threadScratch: emitter.scratchBytes,
  };
}

class LoopEmitter {
  readonly #kernel: LoopKernel;
  readonly #at: Arrangement;
  readonly #c: Code;
  readonly #shape: readonly number[];
  readonly #coords: readonly Local[];
  readonly #expr: ExpressionEmitter;
  readonly #elementStores: readonly Store[];
  readonly #rowStores: readonly Store[];
  readonly #passes: Passes;
  readonly #innerCount: number;
  readonly #slotBytes: number;

  constructor(kernel: LoopKernel, at: Arrangement, code: Code) {
    this.#kernel = kernel;
    this.#at = at;
    this.#c = code;
    this.#shape = [...kernel.outer, ...kernel.inner];
    this.#coords = this.#shape.map(() => code.local("i32"));
    this.#expr = new ExpressionEmitter(code, {
      body: kernel.body,
      args: kernel.args,
      argLocals: code.args,
      coords: this.#coords,
      depth: at.depth,
      laneDim: at.laneDim,
      outerRank: kernel.outer.length,
      reducedDepth: at.baseDepth,
    });
    this.#elementStores = kernel.stores.filter((s) => storesElements(s, at.facts, kernel.outer.length));
    this.#rowStores = kernel.stores.filter((s) => !this.#elementStores.includes(s));
    this.#innerCount = kernel.inner.reduce((n, size) => n * size, 1);
    this.#slotBytes = Math.ceil((this.#innerCount * (at.laneInner ? 4 : 16 * this.#copies())) / 64) * 64;
    const finalRoots = this.#elementStores.flatMap((s) => [s.value, ...(s.index.dynamic ?? []).map((t) => t.value)]);
    this.#passes = planPasses(kernel, at, finalRoots, this.#slotBytes <= KEEP_BYTES);
  }

  get scratchBytes(): number {
    return this.#passes.kept.length * this.#slotBytes;
  }

  #copies(): number {
    const { body, args } = this.#kernel;
    const weight = body.reduce((sum, instr, v) => (this.#at.live[v] ? sum + instrWeight(instr, args) : sum), 0);
    if (this.#kernel.inner.length > 0) {
      const run = this.#shape[this.#at.innerDims.at(-1)!]!;
      if (!this.#at.laneInner) return weight <= LIGHT_PASS ? 8 : weight <= HEAVY_PASS ? 4 : 2;
      // decides the order of sums, so it must not depend on what else the kernel computes
      return run >= LONG_RUN ? 4 : run >= LONG_RUN / 4 ? 2 : 1;
    }
    const draws = body.filter((instr, v): instr is Random => this.#at.live[v]! && instr.op === "random");
    if (draws.length > 0)
      return this.#copiesDrawn(
        draws,
        draws.reduce((rest, draw) => rest - instrWeight(draw, args), weight),
      );
    return weight > HEAVY_PASS ? 1 : 2;
  }

  /**
   * Two calls of Threefry a round overlap. One is enough beside `rest` that is heavy itself; and short rows that two do not divide would go
   * vector by vector at their ends.
   */
  #copiesDrawn(draws: readonly Random[], rest: number): number {
    const { laneDim } = this.#at;
    const perCall = Math.max(...draws.map((draw) => vectorsPerCall(this.#kernel.body, draw, laneDim)));
    const run = this.#shape[laneDim] ?? 0;
    return rest <= HEAVY_PASS && (run >= LONG_RUN || run % (8 * perCall) === 0) ? 2 * perCall : Math.max(2, perCall);
  }

  emit(): void {
    const c = this.#c;
    const { units } = this.#at;
    c.if(c.op("i32.ge_s", c.begin, c.finish), () => c.return());
    const root = this.#expr.scope(undefined, 0);
    this.#expr.enter(root, this.#at.live, this.#kernel.stores);
    const unit = c.local("i32");
    c.for(unit, c.begin, c.finish, 1, () => {
      const block =
        units.chunks === 1 ? c.get(unit) : c.let("i32", c.op("i32.div_u", c.get(unit), c.i32(units.chunks)));
      const first = c.let("i32", c.op("i32.mul", block, c.i32(units.rowsPerUnit)));
      const last =
        units.rowsPerUnit === 1
          ? c.let("i32", c.op("i32.add", first, c.i32(1)))
          : c.let("i32", c.minimum(c.op("i32.add", first, c.i32(units.rowsPerUnit)), c.i32(units.rows)));
      const chunk = c.op("i32.sub", c.get(unit), c.op("i32.mul", block, c.i32(units.chunks)));
      const from = units.chunks === 1 ? c.i32(0) : c.let("i32", c.op("i32.mul", chunk, c.i32(units.chunk)));
      const row = c.local("i32");
      c.for(row, first, last, 1, () => this.#row(root, c.get(row), from));
    });
  }

  #row(root: Scope, index: Push, from: Push): void {
    const c = this.#c;
    const at = this.#at;
    this.#decode(index);
    const row = this.#expr.scope(root, 1);
    this.#expr.enter(row, at.live, this.#kernel.stores);
    if (at.baseDepth === 1) return this.#passesIn(row);
    const size = this.#shape[at.laneDim]!;
    const to =
      at.units.chunks === 1
        ? c.i32(size)
        : c.let("i32", c.minimum(c.op("i32.add", from, c.i32(at.units.chunk)), c.i32(size)));
    this.#lanes(row, at.laneDim, from, to, this.#copies(), (scope) => this.#passesIn(scope));
  }

  /** Coordinates of the row dimensions from the row's number. */
  #decode(index: Push): void {
    const c = this.#c;
    const dims = this.#at.rowDims.filter((d) => this.#shape[d] !== 1);
    let rest = index;
    for (const [i, d] of [...dims.entries()].reverse()) {
      if (i === 0) return c.set(this.#coords[d]!, rest);
      const size = c.i32(this.#shape[d]!);
      c.set(this.#coords[d]!, c.op("i32.rem_u", rest, size));
      rest = c.let("i32", c.op("i32.div_u", rest, size));
    }
  }

  #lanes(parent: Scope, dim: number, from: Push, to: Push, copies: number, body: (scope: Scope) => void): void {
    const { laneInner, units } = this.#at;
    const size = this.#shape[dim]!;
    const lengths = chunkLengths(size, laneInner ? size : units.chunk);
    emitLanes(this.#c, this.#coords[dim]!, from, to, lengths, copies, (lanes, unroll) =>
      body(this.#expr.scope(parent, parent.depth + 1, lanes, unroll, true)),
    );
  }

  #passesIn(base: Scope): void {
    const { list } = this.#passes;
    list.forEach((pass, p) => {
      this.#expr.enter(base, this.#at.live, this.#kernel.stores, p);
      const final = p === list.length - 1;
      if (!final) this.#reduce(base, pass, p);
      else if (this.#elementStores.length > 0)
        this.#inner(base, pass, p, this.#at.innerDims, this.#elementStores, (scope) =>
          this.#storeAll(scope, this.#elementStores),
        );
    });
    this.#storeAll(base, this.#rowStores);
  }

  #storeAll(scope: Scope, stores: readonly Store[]): void {
    for (let u = 0; u < scope.copies; u++) for (const store of stores) this.#expr.store(scope, store, u);
  }

  #reduce(base: Scope, pass: Pass, p: number): void {
    const c = this.#c;
    const { body } = this.#kernel;
    const { laneInner, innerDims, facts, live } = this.#at;
    const ids = body.flatMap((instr, v) => (live[v] && instr.op === "reduce" && facts.stage[v] === p + 1 ? [v] : []));
    const block = this.#sumBlock();
    const reductions = ids.map((v) => {
      const instr = body[v]!;
      invariant(instr.op === "reduce", "ids name reductions");
      const vector = laneInner || this.#expr.isVector(base, instr.a);
      const count = laneInner ? this.#copies() : vector ? base.copies : 1;
      const make = (wide: boolean): Accumulator =>
        new Accumulator(c, instr.combine, instr.type, wide, block !== undefined);
      return {
        v,
        instr,
        vector,
        lanes: Array.from({ length: count }, () => make(vector)),
        single: laneInner ? make(false) : undefined,
      };
    });
    const all = reductions.flatMap((r) => (r.single === undefined ? r.lanes : [...r.lanes, r.single]));
    for (const accumulator of all) accumulator.reset();
    const runs = c.local("i32");
    c.set(runs, c.i32(0));
    const flush = (): void => {
      for (const accumulator of all) accumulator.flush();
    };
    this.#inner(
      base,
      pass,
      p,
      innerDims,
      [],
      (scope) => {
        for (const { instr, lanes, single } of reductions) {
          if (scope.lanes === 1 && single !== undefined) single.add(this.#expr.value(scope, instr.a));
          else
            lanes
              .slice(0, laneInner ? scope.copies : undefined)
              .forEach((l, u) =>
                l.add(laneInner ? this.#expr.vector(scope, instr.a, u) : this.#expr.value(scope, instr.a, u)),
              );
        }
      },
      block === undefined ? undefined : { steps: block, runs, flush },
    );
    flush();
    for (const { v, instr, vector, lanes, single } of reductions) {
      if (single === undefined) {
        lanes.forEach((l, u) =>
          this.#expr.hold(base, v, u, c.keep(vector ? "v128" : instr.type === "f32" ? "f32" : "i32", l.result())),
        );
        continue;
      }
      const join = (a: Push, b: Push): Push => combine(c, instr.combine, instr.type, a, b, true);
      const pairs = lanes
        .map((l) => l.result())
        .reduce<Push[]>((out, x, i) => (i % 2 === 0 ? [...out, x] : [...out.slice(0, -1), join(out.at(-1)!, x)]), []);
      const whole = acrossLanes(c, instr.combine, instr.type, pairs.reduce(join));
      this.#expr.hold(
        base,
        v,
        0,
        c.keep(
          instr.type === "f32" ? "f32" : "i32",
          combine(c, instr.combine, instr.type, whole, single.result(), false),
        ),
      );
    }
  }

  /** Additions of one accumulator after which it goes to the second level; undefined for sums too short to need one. About √n, so both levels are alike. */
  #sumBlock(): number | undefined {
    const { laneInner } = this.#at;
    const steps = this.#innerCount / (laneInner ? 4 * this.#copies() : 1);
    return steps <= 2 * SUM_BLOCK ? undefined : Math.max(SUM_BLOCK, Math.ceil(Math.sqrt(steps)));
  }

  /** The loops over `dims` inside `scope`; `visit` runs in the innermost, after what the pass needs has been computed there. */
  #inner(
    scope: Scope,
    pass: Pass,
    stage: number,
    dims: readonly number[],
    stores: readonly Store[],
    visit: (scope: Scope) => void,
    sum?: SumBlocks,
  ): void {
    const c = this.#c;
    const [dim, ...rest] = dims;
    if (dim === undefined) {
      visit(scope);
      return;
    }
    const coord = this.#coords[dim]!;
    const size = this.#shape[dim]!;
    const enter = (child: Scope): void => {
      if (rest.length === 0) this.#readKept(child, pass.reads);
      this.#expr.enter(child, pass.needed, stores, stage);
      if (rest.length === 0) this.#writeKept(child, pass.keeps);
    };
    if (rest.length > 0) {
      const child = this.#expr.scope(scope, scope.depth + 1);
      c.for(coord, c.i32(0), c.i32(size), 1, () => {
        enter(child);
        this.#inner(child, pass, stage, rest, stores, visit, sum);
      });
      return;
    }
    const laneInner = dim === this.#at.laneDim;
    const step = laneInner ? 4 * this.#copies() : 1;
    const run = (from: Push, to: Push): void => {
      if (laneInner) {
        this.#lanes(scope, dim, from, to, this.#copies(), (child) => {
          enter(child);
          visit(child);
        });
        return;
      }
      const child = this.#expr.scope(scope, scope.depth + 1);
      c.for(coord, from, to, 1, () => {
        enter(child);
        visit(child);
      });
    };
    const blockSize = (sum?.steps ?? Infinity) * step;
    if (sum === undefined || size < 2 * blockSize) {
      run(c.i32(0), c.i32(size));
      if (sum !== undefined) this.#flushNowAndThen(sum, size / step);
      return;
    }
    const start = c.local("i32");
    c.for(start, c.i32(0), c.i32(size), blockSize, () => {
      run(c.get(start), c.let("i32", c.minimum(c.op("i32.add", c.get(start), c.i32(blockSize)), c.i32(size))));
      sum.flush();
    });
  }

  /** For short innermost runs: flushes once `sum.steps` additions have come together over several of them. */
  #flushNowAndThen(sum: SumBlocks, stepsPerRun: number): void {
    const c = this.#c;
    const runs = Math.max(1, Math.round(sum.steps / stepsPerRun));
    c.set(sum.runs, c.op("i32.add", c.get(sum.runs), c.i32(1)));
    c.if(c.op("i32.ge_u", c.get(sum.runs), c.i32(runs)), () => {
      sum.flush();
      c.set(sum.runs, c.i32(0));
    });
  }

  // --- scratch

  #slotPlace(v: ValueId, copy: number): Place {
    const { laneInner, innerDims } = this.#at;
    const c = this.#c;
    const pitch = laneInner ? 4 : 16 * this.#copies();
    let stride = pitch;
    let base = c.thread;
    for (const dim of [...innerDims].reverse()) {
      base = c.at.plus(base, c.at.times(c.get(this.#coords[dim]!), stride));
      stride *= this.#shape[dim]!;
    }
    const slot = this.#passes.kept.indexOf(v) * this.#slotBytes;
    return { base, offset: slot + copy * 16 };
  }

  #eachKept(
    scope: Scope,
    ids: readonly ValueId[],
    visit: (v: ValueId, copy: number, place: Place, type: "v128" | "f32" | "i32") => void,
  ): void {
    for (const v of ids) {
      const vector = this.#expr.isVector(scope, v);
      const type = vector ? "v128" : this.#kernel.body[v]!.type === "f32" ? "f32" : "i32";
      for (let u = 0; u < (vector ? scope.copies : 1); u++) visit(v, u, this.#slotPlace(v, u), type);
    }
  }

  #readKept(scope: Scope, ids: readonly ValueId[]): void {
    this.#eachKept(scope, ids, (v, u, { base, offset }, type) => {
      this.#expr.hold(scope, v, u, this.#c.keep(type, this.#c.load(`${type}.load`, base, offset)));
    });
  }

  #writeKept(scope: Scope, ids: readonly ValueId[]): void {
    this.#eachKept(scope, ids, (v, u, { base, offset }, type) => {
      this.#c.store(`${type}.store`, base, offset, this.#expr.value(scope, v, u));
    });
  }
}

interface SumBlocks {
  readonly steps: number;
  /** Innermost runs since the last flush. */
  readonly runs: Local;
  readonly flush: () => void;
}
