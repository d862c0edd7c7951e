/**
 * How much longer something takes that is made of many parts alike, told from the last of them. The first part holds what had to be prepared, and counts for nothing; nor do the
 * slowest of the last ones, which met something new. What comes between parts now and then (an evaluation) is expected again as often as it was.
 */

/** Parts that are looked at. */
const RECENT = 32;
/** Of them, one in so many is left out, the slowest first. */
const TRIMMED = 8;

export class RemainingTime {
  readonly #total: number;
  readonly #now: () => number;
  #done = 0;
  #last: number;
  /** Seconds of each of the last parts. */
  readonly #recent: number[] = [];
  /** Parts whose time was seen, and seconds between parts. */
  #seen = 0;
  #between = 0;

  /** @param now milliseconds of a clock that is never put back */
  constructor(total: number, now: () => number = () => performance.now()) {
    this.#total = total;
    this.#now = now;
    this.#last = now();
  }

  /** So much was done before, by another process: it says nothing of how fast this one is. */
  from(done: number): void {
    this.#done = done;
    this.#last = this.#now();
  }

  update(done: number): void {
    const parts = done - this.#done;
    if (parts <= 0) return;
    const seconds = this.#take();
    this.#done = done;
    this.#seen += parts;
    // the first part of all is known too long to say anything
    if (this.#seen === parts) return;
    this.#recent.push(seconds / parts);
    if (this.#recent.length > RECENT) this.#recent.shift();
  }

  /** What went by since the last part was none. */
  between(): void {
    this.#between += this.#take();
  }

  /** Undefined where too little is known. */
  seconds(): number | undefined {
    const left = Math.max(0, this.#total - this.#done);
    if (left === 0) return 0;
    const sorted = [...this.#recent].sort((a, b) => a - b);
    if (sorted.length === 0) return undefined;
    const usual = sorted.slice(0, sorted.length - Math.floor(sorted.length / TRIMMED));
    const each = usual.reduce((sum, seconds) => sum + seconds, 0) / usual.length;
    return left * (each + this.#between / this.#seen);
  }

  #take(): number {
    const now = this.#now();
    const seconds = (now - this.#last) / 1000;
    this.#last = now;
    return seconds;
  }
}
