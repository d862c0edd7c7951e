/** Leaving a training from outside: asked for at any time, by a signal for instance, heeded between two steps. */

export class Stop {
  #asked: string | undefined;
  #heeding = 0;

  /** Why to stop: the first that was said. */
  get asked(): string | undefined {
    return this.#asked;
  }

  ask(why: string): void {
    this.#asked ??= why;
  }

  /** Whether something runs that will heed it; else nobody needs to be waited for. */
  get heeded(): boolean {
    return this.#heeding > 0;
  }

  /** While `body` runs, it is. */
  async heeding<T>(body: () => Promise<T>): Promise<T> {
    this.#heeding++;
    try {
      return await body();
    } finally {
      this.#heeding--;
    }
  }
}

/** Somebody asked to stop, and what there is has been saved. Not a failure: the same command goes on. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
  readonly why: string;

  /** @param message what is saved, and where */
  constructor(why: string, message: string) {
    super(message);
    this.why = why;
  }
}
