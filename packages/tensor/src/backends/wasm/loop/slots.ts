/** Scratch memory for values that one pass over a row computes and a later one needs again: a slot for each, an element after the other. */
import type { Instr, ValueId } from "../../../ir/kernel.ts";
import type { Code } from "./code.ts";
import type { ExpressionEmitter, Scope } from "./expression.ts";
import type { Place } from "./memory.ts";
import type { Local } from "./push.ts";

export interface SlotLayout {
  readonly kept: readonly ValueId[];
  readonly body: readonly Instr[];
  /** Inner dimensions, outermost first. */
  readonly strides: readonly { readonly coord: Local; readonly size: number }[];
  /** Bytes from one element of the innermost dimension to the next. */
  readonly pitch: number;
  readonly slotBytes: number;
}

type SlotType = "v128" | "f32" | "i32";

export class KeptSlots {
  readonly #c: Code;
  readonly #expr: ExpressionEmitter;
  readonly #layout: SlotLayout;

  constructor(code: Code, expr: ExpressionEmitter, layout: SlotLayout) {
    this.#c = code;
    this.#expr = expr;
    this.#layout = layout;
  }

  get bytes(): number {
    return this.#layout.kept.length * this.#layout.slotBytes;
  }

  /** What `scope` reads of `ids`, into locals. */
  read(scope: Scope, ids: readonly ValueId[]): void {
    this.#each(scope, ids, (v, u, { base, offset }, type) => {
      this.#expr.hold(scope, v, u, this.#c.keep(type, this.#c.load(`${type}.load`, base, offset)));
    });
  }

  write(scope: Scope, ids: readonly ValueId[]): void {
    this.#each(scope, ids, (v, u, { base, offset }, type) => {
      this.#c.store(`${type}.store`, base, offset, this.#expr.value(scope, v, u));
    });
  }

  #place(v: ValueId, copy: number): Place {
    const { kept, strides, pitch, slotBytes } = this.#layout;
    const c = this.#c;
    let stride = pitch;
    let base = c.thread;
    for (const { coord, size } of [...strides].reverse()) {
      base = c.at.plus(base, c.at.times(c.get(coord), stride));
      stride *= size;
    }
    return { base, offset: kept.indexOf(v) * slotBytes + copy * 16 };
  }

  #each(
    scope: Scope,
    ids: readonly ValueId[],
    visit: (v: ValueId, copy: number, place: Place, type: SlotType) => void,
  ): void {
    for (const v of ids) {
      const vector = this.#expr.isVector(scope, v);
      const type = vector ? "v128" : this.#layout.body[v]!.type === "f32" ? "f32" : "i32";
      for (let u = 0; u < (vector ? scope.copies : 1); u++) visit(v, u, this.#place(v, u), type);
    }
  }
}
