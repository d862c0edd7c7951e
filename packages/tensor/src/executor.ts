/**
 * Runs programs on an engine, one after the other, each whole or not at all.
 *
 * The rule of a step: what fails before the backend has run its plan leaves parameters, counters and live values as before the step, and
 * drops the step's assignments. Tensors that were built before it are as good as they were; those that were built on it are stale. Once the
 * plan has run, everything is as after the step, even when reading a result fails. A run that dies half-way loses the device: from then on
 * every use of it, or of its parameters, throws DeviceLostError.
 */
import type { StepTiming } from "./backends/backend.ts";
import type { TypedArray } from "./dtype.ts";
import type { Engine, Planned, Result } from "./engine.ts";
import { invariant, LowrankError } from "./errors.ts";
import type { Cell } from "./graph/cell.ts";
import { checkIndices } from "./graph/index-checks.ts";
import type { Node } from "./graph/node.ts";
import { builtOn, storagesOf, type Program } from "./graph/program.ts";

export interface RunOptions {
  readonly timings?: StepTiming[] | undefined;
  /** Looks at what will be computed, from the values of the program's host leaves, before it is; throws to stop it. */
  readonly inspect?: ((values: readonly TypedArray[]) => void | Promise<void>) | undefined;
  /**
   * Whether the values of parameters that the program reads are those that its tensors were built on, rather than any that it finds: where
   * a step that waits before it and writes them fails, it fails too.
   */
  readonly eager?: boolean | undefined;
}

export class Executor {
  readonly #engine: Engine;
  /** The run that has not ended yet, on devices that do not end theirs at once. */
  #busy: Promise<unknown> | undefined;
  /** Why the device is of no use any more. */
  #gone: LowrankError | undefined;
  readonly #waiting = new Set<(reason: LowrankError) => void>();
  /** Finished runs that wrote parameters. */
  updates = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** @throws DisposedError after `close`, DeviceLostError after a run that died */
  checkUsable(): void {
    if (this.#gone !== undefined) throw new LowrankError(this.#gone.code, this.#gone.message, { cause: this.#gone });
  }

  /** Does something on the engine and notes when that shows the device to be lost. */
  use<T>(body: () => T): T {
    this.checkUsable();
    try {
      return body();
    } catch (error) {
      throw this.#noted(error);
    }
  }

  /** A promise of the engine's, which ends when the device does. */
  async during<T>(work: Promise<T>): Promise<T> {
    let stop: (reason: LowrankError) => void;
    const ended = new Promise<never>((_, reject) => {
      stop = reject;
    });
    this.#waiting.add(stop!);
    try {
      return await Promise.race([work, ended]);
    } catch (error) {
      throw this.#noted(error);
    } finally {
      this.#waiting.delete(stop!);
    }
  }

  close(): void {
    this.#end(new LowrankError("DisposedError", `${this.#engine.name}: the device was closed; open another with init`));
    this.#engine.close();
  }

  /** Where its code is still being made, the step waits for that in its turn: those after it come after it. */
  run(
    planned: Planned,
    inputs: ReadonlyMap<string, TypedArray>,
    options: RunOptions = {},
  ): Result[] | Promise<Result[]> {
    const preparing = this.use(() => this.#engine.prepare(planned));
    if (this.#busy === undefined && preparing === undefined) return this.#start(planned, inputs, options);
    const { program } = planned;
    const checkBuilt = options.eager === true ? builtOn(program) : undefined;
    const announced = announce(program);
    // the caller's arrays may change before its turn comes
    const own = new Map([...inputs].map(([name, data]) => [name, data.slice()]));
    const ready = preparing === undefined ? undefined : this.during(preparing);
    // looked at when its turn comes; until then nobody does
    ready?.catch(() => undefined);
    const turn = (this.#busy ?? Promise.resolve()).then(() => ready);
    const whole = after(turn, program, () => {
      checkBuilt?.();
      return this.#start(planned, own, options, announced);
    });
    return this.#queue(
      whole.catch((error: unknown) => {
        announced.withdraw();
        throw error;
      }),
    );
  }

  #queue<T>(whole: Promise<T>): Promise<T> {
    const over = whole
      .then(
        () => undefined,
        () => undefined,
      )
      .then(() => {
        if (this.#busy === over) this.#busy = undefined;
      });
    this.#busy = over;
    return whole;
  }

  /** When no run that was started before will still write this. */
  async settled(cell: Cell): Promise<void> {
    while (cell.held > 0) await this.during(this.#busy ?? Promise.resolve());
  }

  /** @param announced where those who read the program's parameters know already that they read what it writes */
  #start(
    planned: Planned,
    inputs: ReadonlyMap<string, TypedArray>,
    options: RunOptions,
    announced?: Announcement,
  ): Result[] | Promise<Result[]> {
    this.checkUsable();
    const { program } = planned;
    const { values: given, revoke } = produce(program.hostLeaves, inputs);
    const values = options.inspect === undefined ? given : given.map((data) => data.slice());
    let ran = false;
    let told = announced;
    const failed = (error: unknown): unknown => {
      if (!ran) {
        revoke();
        told?.withdraw();
      }
      return this.#noted(error);
    };
    const execute = (): Result[] | Promise<Result[]> =>
      this.#engine.execute(planned, values, storagesOf(program), {
        timings: options.timings,
        ran: () => {
          ran = true;
          told ??= announce(program);
          told.happened();
          if (program.assignments.length > 0) this.updates++;
        },
      });
    try {
      checkIndices(program.indexChecks, values);
      const inspected = options.inspect?.(values);
      const running = inspected === undefined ? execute() : after(inspected, program, execute);
      if (!(running instanceof Promise)) return running;
      told ??= announce(program);
      const whole = this.during(running).catch((error: unknown) => {
        throw failed(error);
      });
      return announced === undefined ? this.#queue(whole) : whole;
    } catch (error) {
      throw failed(error);
    }
  }

  #noted(error: unknown): unknown {
    if (error instanceof LowrankError && error.code === "DeviceLostError" && this.#gone === undefined) this.#end(error);
    return error;
  }

  #end(reason: LowrankError): void {
    this.#gone ??= reason;
    for (const stop of this.#waiting) stop(reason);
  }
}

/** Does `body` right after `before`; until then nobody may change or free what the program uses. */
function after<T>(before: Promise<unknown>, { cells }: Program, body: () => T | Promise<T>): Promise<T> {
  for (const cell of cells) cell.held++;
  const letGo = (): void => {
    for (const cell of cells) cell.letGo();
  };
  return before.then(
    () => {
      try {
        return body();
      } finally {
        letGo();
      }
    },
    (error: unknown) => {
      letGo();
      throw error;
    },
  );
}

interface Announcement {
  readonly happened: () => void;
  /** Does nothing after the other. */
  readonly withdraw: () => void;
}

/** Tensors made of what the parameters held before must not be read any more, unless the step turns out not to happen. */
function announce({ assignments }: Program): Announcement {
  const updates = assignments.map(({ cell }) => ({ cell, version: cell.announce() }));
  let known = false;
  const once = (tell: (cell: Cell, version: number) => void) => (): void => {
    if (known) return;
    known = true;
    for (const { cell, version } of updates) tell(cell, version);
  };
  return {
    happened: once((cell, version) => {
      cell.wrote(version);
    }),
    withdraw: once((cell, version) => {
      cell.withdraw(version);
    }),
  };
}

/** Values for one run, and how to take back that live ones were produced for it. Where one cannot be produced, the others are taken back. */
function produce(
  leaves: readonly Node[],
  inputs: ReadonlyMap<string, TypedArray>,
): { values: TypedArray[]; revoke: () => void } {
  const produced: (() => void)[] = [];
  const revoke = (): void => {
    while (produced.length > 0) produced.pop()!();
  };
  try {
    const values = leaves.map((node) => {
      const leaf = node.leaf!;
      if (leaf.kind === "host") return leaf.data;
      if (leaf.kind === "live") {
        const value = leaf.produce();
        produced.push(leaf.revoke);
        return value;
      }
      invariant(leaf.kind === "input", "a cell is not a host leaf");
      const value = inputs.get(leaf.name);
      invariant(value !== undefined, `no value for compiled input "${leaf.name}"`);
      return value;
    });
    return { values, revoke };
  } catch (error) {
    revoke();
    throw error;
  }
}
