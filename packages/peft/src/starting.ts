/** What starts like PiSSA and LoftQ do when an adapter gets its values: what they take from the base, and what gives it back. */
import type { Product } from "./layers/update.ts";
import type { AdapterConfig, Method, StartContext, StartError } from "./methods/method.ts";

/** What starts came to, by module path. */
export class Starts {
  /** The products that they took from the base: it is what it was less these. */
  readonly taken: Map<string, Product> = new Map();
  /** What LoftQ's made up for. */
  readonly errors: Map<string, StartError> = new Map();
  #restores: (() => Promise<void>)[] = [];

  /** Values that depend on the base. All modules are asked before the first begins. */
  async begin(method: Method, contexts: readonly StartContext<AdapterConfig>[]): Promise<void> {
    for (const context of contexts) method.checkStart?.(context);
    for (const context of contexts) {
      const { path, update } = context;
      const started = await method.start?.(context);
      if (started !== undefined) {
        this.#restores.push(() => started.restore());
        if (started.error !== undefined) this.errors.set(path, started.error);
        const taken = await update.lowRank?.numbers?.();
        if (taken !== undefined) this.taken.set(path, taken);
      }
      await update.initialize();
    }
  }

  /** Gives the base back what was taken, to rounding. */
  async undo(): Promise<void> {
    for (const restore of this.#restores) await restore();
    this.#restores = [];
    this.taken.clear();
  }
}
