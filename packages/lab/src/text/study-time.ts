/** How much longer a study takes beyond the run that is made: runs that were made and the one that is say how long a step takes. */

export class StudyTime {
  /** Steps of runs that have not begun. */
  #waiting: number;
  #steps = 0;
  #seconds = 0;
  #current: { readonly steps: number; readonly began: number } | undefined;
  readonly #now: () => number;

  /** @param steps of each run that is to be made */
  constructor(steps: readonly number[], now: () => number = () => performance.now()) {
    this.#waiting = steps.reduce((sum, count) => sum + count, 0);
    this.#now = now;
  }

  /** One after another. */
  began(steps: number): void {
    this.ended();
    this.#waiting -= steps;
    this.#current = { steps, began: this.#now() };
  }

  /** So many steps of the current run were made before, by another process. */
  from(done: number): void {
    if (this.#current !== undefined) this.#current = { ...this.#current, steps: this.#current.steps - done };
  }

  /** A run that is not made after all. */
  without(steps: number): void {
    this.#waiting -= steps;
  }

  /** However it ended: a run that failed took its time as well. */
  ended(): void {
    if (this.#current === undefined) return;
    this.#steps += this.#current.steps;
    this.#seconds += this.#elapsed();
    this.#current = undefined;
  }

  /** Seconds from the end of the current run to that of the study. Undefined where that is the same, or nothing is known. @param left seconds of the current run */
  beyond(left: number | undefined): number | undefined {
    if (this.#waiting <= 0) return undefined;
    const known = this.#current !== undefined && left !== undefined;
    const steps = this.#steps + (known ? this.#current!.steps : 0);
    const seconds = this.#seconds + (known ? this.#elapsed() + left : 0);
    return steps === 0 ? undefined : (this.#waiting * seconds) / steps;
  }

  #elapsed(): number {
    return (this.#now() - this.#current!.began) / 1000;
  }
}
