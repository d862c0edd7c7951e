/**
 * What is to reach a server, in order, while a training goes on that must not notice: a queue in memory, sent in parts now and then, again and later where the
 * server does not answer, and given up for good soon after the end.
 *
 *   push ─→ queue ─→ outgoing ─→ send ─┬─ arrived
 *             │         ↑              ├─ Later: after 1, 2, 4, … 30 s ─┐
 *             │         └──────────────┼────────────────────────────────┘
 *             └ full: the oldest       └─ Refused: these never arrive. Closed: nothing does
 *               are left out
 */

/** The server could not be asked, or asked for time. */
export class Later extends Error {
  readonly seconds: number | undefined;

  /** @param seconds after which it wants to be asked again */
  constructor(message: string, seconds?: number) {
    super(message);
    this.seconds = seconds;
  }
}

/** The server does not want what was sent, however often. */
export class Refused extends Error {}

/** The server wants nothing of us. */
export class Closed extends Error {}

export interface DeliveryOptions<T> {
  /** Delivers the items, or rejects with one of the errors above; with any other, they are sent again as well. */
  send(items: readonly T[], signal: AbortSignal): Promise<void>;
  /** How many, from the first on, go together: at least one. */
  together(items: readonly T[]): number;
  /** What it is, for counts: "steps". */
  kind(item: T): string;
  /** What may be left out where too much waits. */
  readonly droppable: string;
  /** Most items that wait. */
  readonly bound?: number;
  readonly say: (line: string) => void;
  /** Milliseconds until something is sent: what comes in between goes with it. */
  readonly every?: number;
}

const BOUND = 20_000;
const EVERY_MS = 1000;
const [FIRST_WAIT_MS, LONGEST_WAIT_MS] = [1000, 30_000];
/** At the end: for a server that answers, for one that has had no time to, and the least for one that does not. */
const [PATIENCE_MS, FIRST_PATIENCE_MS, LEAST_PATIENCE_MS] = [5000, 2000, 100];
/** What one that does not answer gets of the time that there was, so that it costs next to nothing of it. */
const SHARE = 0.01;
/** A server that has not answered for so long is one that does not. */
const SUSPICIOUS_MS = 2000;

export class Delivery<T> {
  readonly #options: DeliveryOptions<T>;
  readonly #abort = new AbortController();
  readonly #queue: T[] = [];
  /** What is on its way, or is to be sent again. */
  #outgoing: readonly T[] = [];
  #sending: Promise<void> | undefined;
  readonly #began = performance.now();
  #sentAt = 0;
  /** At some time. */
  #answered = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** In a row. */
  #failures = 0;
  /** Nothing is taken any more. */
  #closed = false;
  /** What was wrong last, and why what is lost was lost. */
  #failure = "no answer";
  #why = "";
  readonly #lost = new Map<string, number>();

  constructor(options: DeliveryOptions<T>) {
    this.#options = options;
  }

  push(item: T): void {
    const { bound = BOUND, droppable, kind, say, every = EVERY_MS } = this.#options;
    if (this.#closed) return this.#lose([item], this.#why);
    this.#queue.push(item);
    if (this.#queue.length > bound) {
      const oldest = this.#queue.findIndex((one) => kind(one) === droppable);
      if (!this.#lost.has(droppable)) say(`${bound} ${droppable} wait to be sent; the oldest are left out`);
      this.#lose(this.#queue.splice(Math.max(0, oldest), 1), "too many waited");
    }
    this.#in(every);
  }

  /** Sends what is there, as long as that is promising, and says what did not arrive. Never rejects. */
  async finish(): Promise<void> {
    const deadline = performance.now() + this.#patience();
    const drained = (async (): Promise<void> => {
      await this.#sending;
      while (this.#waiting > 0 && performance.now() < deadline) {
        const before = this.#failures;
        await this.#send();
        // who does not answer gets one chance more, and not several
        if (this.#failures > before) return;
      }
    })();
    let late: ReturnType<typeof setTimeout>;
    const over = new Promise<void>((resolve) => {
      late = setTimeout(resolve, deadline - performance.now());
    });
    await Promise.race([drained, over]);
    clearTimeout(late!);
    clearTimeout(this.#timer);
    this.#closed = true;
    this.#abort.abort();
    this.#lose([...this.#outgoing, ...this.#queue.splice(0)], this.#failure);
    this.#outgoing = [];
    if (this.#lost.size === 0) return;
    const counts = [...this.#lost].map(([kind, count]) => `${count} ${kind}`).join(", ");
    this.#options.say(`not delivered: ${counts} (${this.#why}); the run's own files hold them`);
  }

  get #waiting(): number {
    return this.#queue.length + this.#outgoing.length;
  }

  #lose(items: readonly T[], why: string): void {
    if (items.length > 0) this.#why = why;
    for (const item of items) {
      const kind = this.#options.kind(item);
      this.#lost.set(kind, 1 + (this.#lost.get(kind) ?? 0));
    }
  }

  #patience(): number {
    const silent = this.#sending !== undefined && performance.now() - this.#sentAt > SUSPICIOUS_MS;
    if (this.#failures > 0 || silent)
      return Math.min(PATIENCE_MS, Math.max(LEAST_PATIENCE_MS, SHARE * (performance.now() - this.#began)));
    return this.#answered ? PATIENCE_MS : FIRST_PATIENCE_MS;
  }

  /** To be sent in so many milliseconds, unless something is under way already. */
  #in(ms: number): void {
    if (this.#sending !== undefined || this.#timer !== undefined || this.#closed) return;
    this.#timer = setTimeout(() => void this.#send(), ms);
    // nobody waits for it but `finish`
    this.#timer.unref();
  }

  #send(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#sending !== undefined) return this.#sending;
    if (this.#outgoing.length === 0)
      this.#outgoing = this.#queue.splice(0, this.#queue.length === 0 ? 0 : this.#options.together(this.#queue));
    if (this.#outgoing.length === 0) return Promise.resolve();
    this.#sentAt = performance.now();
    this.#sending = this.#deliver().then((wait) => {
      this.#sending = undefined;
      if (this.#waiting > 0) this.#in(wait);
    });
    return this.#sending;
  }

  /** Milliseconds until the next is sent. */
  async #deliver(): Promise<number> {
    const { send, say, every = EVERY_MS } = this.#options;
    try {
      await send(this.#outgoing, this.#abort.signal);
      this.#outgoing = [];
      [this.#answered, this.#failures] = [true, 0];
      return every;
    } catch (error) {
      // it was given up, and counted
      if (this.#abort.signal.aborted) return 0;
      this.#failure = error instanceof Error ? error.message : String(error);
      if (error instanceof Refused || error instanceof Closed) {
        this.#lose(this.#outgoing, this.#failure);
        this.#outgoing = [];
      }
      if (error instanceof Refused) return every;
      if (error instanceof Closed) {
        this.#closed = true;
        this.#lose(this.#queue.splice(0), this.#failure);
        say(`${this.#failure}; nothing is sent any more`);
        return 0;
      }
      this.#failures++;
      const doubled = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (this.#failures - 1));
      const asked = error instanceof Later && error.seconds !== undefined ? 1000 * error.seconds : 0;
      return Math.max(doubled, Math.min(asked, 10 * LONGEST_WAIT_MS));
    }
  }
}
