/**
 * Ends a text with the first of some strings that has come whole, and shows nothing of it: what may be the beginning of one waits. Where two end
 * with the same character, the longer one counts. How the text is cut into pieces does not matter.
 */
export class StopStrings {
  readonly #stops: readonly string[];
  #waiting = "";
  #ended = false;

  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** Whether one of the strings has come. */
  get ended(): boolean {
    return this.#ended;
  }

  /** What may be shown once `text` has come too. */
  push(text: string): string {
    if (this.#ended) return "";
    const whole = this.#waiting + text;
    const found = this.#stops.flatMap((stop) => {
      const from = whole.indexOf(stop);
      return from < 0 ? [] : [{ from, to: from + stop.length }];
    });
    if (found.length > 0) {
      const end = Math.min(...found.map(({ to }) => to));
      this.#ended = true;
      this.#waiting = "";
      return whole.slice(0, Math.min(...found.filter(({ to }) => to === end).map(({ from }) => from)));
    }
    const open = Math.max(0, ...this.#stops.map((stop) => begun(whole, stop)));
    this.#waiting = whole.slice(whole.length - open);
    return whole.slice(0, whole.length - open);
  }

  /** What waited, when no more comes. */
  end(): string {
    const rest = this.#waiting;
    this.#waiting = "";
    return rest;
  }
}

/** How many characters at the end of `text` are the beginning of `stop`. */
function begun(text: string, stop: string): number {
  for (let n = Math.min(stop.length - 1, text.length); n > 0; n--) if (text.endsWith(stop.slice(0, n))) return n;
  return 0;
}
