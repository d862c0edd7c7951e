/**
 * LoopKernel → one WebAssembly function. Rows (or groups of columns) are independent; within one, each reduction level is a pass
 * over the inner dimensions, and a last pass stores elements. See `arrange.ts` for which dimension the lanes take.
 */
import { invariant } from "../../../errors.ts";
import { storesElements } from "../../../ir/facts.ts";
import type { LoopKernel, Store } from "../../../ir/kernel.ts";
import type { KernelCode } from "../kernel-code.ts";
import { arrange, type Arrangement } from "./arrange.ts";
import { Code, type CodeOptions } from "./code.ts";
import type { Local, Push } from "./push.ts";
import { ExpressionEmitter, type Scope } from "./expression.ts";
import { chunkLengths, emitLanes } from "./lanes.ts";
import { planPasses, type Pass, type Passes } from "./kept.ts";
import { Accumulator, acrossLanes, combine } from "./reduction.ts";
import { KeptSlots } from "./slots.ts";
import { copiesOf, sumBlock, unrollsOf } from "./unroll.ts";
import { instrWeight } from "./weight.ts";
import type { ModuleBuilder } from "../asm/index.ts";

/** Longest row whose values may be kept in scratch, in bytes of one slot: beyond, L2 no longer holds it. */
const KEEP_BYTES = 256 * 1024;
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
  readonly #copies: number;
  readonly #slots: KeptSlots;

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
    this.#copies = copiesOf(kernel, at);
    const pitch = at.laneInner ? 4 : 16 * this.#copies;
    const slotBytes = Math.ceil((this.#innerCount * pitch) / 64) * 64;
    const finalRoots = this.#elementStores.flatMap((s) => [s.value, ...(s.index.dynamic ?? []).map((t) => t.value)]);
    this.#passes = planPasses(kernel, at, finalRoots, slotBytes <= KEEP_BYTES);
    const strides = at.innerDims.map((dim) => ({ coord: this.#coords[dim]!, size: this.#shape[dim]! }));
    this.#slots = new KeptSlots(code, this.#expr, {
      kept: this.#passes.kept,
      body: kernel.body,
      strides,
      pitch,
      slotBytes,
    });
  }

  get scratchBytes(): number {
    return this.#slots.bytes;
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
    this.#lanes(row, at.laneDim, from, to, this.#copies, (scope) => this.#passesIn(scope));
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
    emitLanes(this.#c, this.#coords[dim]!, { from, to, lengths }, unrollsOf(this.#kernel, copies), (lanes, unroll) =>
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
        this.#inner(base, this.#at.innerDims, {
          pass,
          stage: p,
          stores: this.#elementStores,
          visit: (scope) => this.#storeAll(scope, this.#elementStores),
        });
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
    const block = sumBlock(this.#innerCount, laneInner ? 4 * this.#copies : 1);
    const reductions = ids.map((v) => {
      const instr = body[v]!;
      invariant(instr.op === "reduce", "ids name reductions");
      const vector = laneInner || this.#expr.isVector(base, instr.a);
      const count = laneInner ? this.#copies : vector ? base.copies : 1;
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
    this.#inner(base, innerDims, {
      pass,
      stage: p,
      stores: [],
      visit: (scope) => {
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
      sum: block === undefined ? undefined : { steps: block, runs, flush },
    });
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

  /** The loops over `dims` inside `scope`; `visit` runs in the innermost, after what the pass needs has been computed there. */
  #inner(scope: Scope, dims: readonly number[], inner: InnerLoops): void {
    const c = this.#c;
    const { pass, stage, stores, visit, sum } = inner;
    const [dim, ...rest] = dims;
    if (dim === undefined) {
      visit(scope);
      return;
    }
    const coord = this.#coords[dim]!;
    const size = this.#shape[dim]!;
    const enter = (child: Scope): void => {
      if (rest.length === 0) this.#slots.read(child, pass.reads);
      this.#expr.enter(child, pass.needed, stores, stage);
      if (rest.length === 0) this.#slots.write(child, pass.keeps);
    };
    if (rest.length > 0) {
      const child = this.#expr.scope(scope, scope.depth + 1);
      c.for(coord, c.i32(0), c.i32(size), 1, () => {
        enter(child);
        this.#inner(child, rest, inner);
      });
      return;
    }
    const laneInner = dim === this.#at.laneDim;
    const step = laneInner ? 4 * this.#copies : 1;
    const run = (from: Push, to: Push): void => {
      if (laneInner) {
        this.#lanes(scope, dim, from, to, this.#copies, (child) => {
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
}

/** What the loops over a row's inner dimensions are for. */
interface InnerLoops {
  readonly pass: Pass;
  readonly stage: number;
  readonly stores: readonly Store[];
  /** Emits the innermost body. */
  readonly visit: (scope: Scope) => void;
  readonly sum?: SumBlocks | undefined;
}

interface SumBlocks {
  readonly steps: number;
  /** Innermost runs since the last flush. */
  readonly runs: Local;
  readonly flush: () => void;
}
