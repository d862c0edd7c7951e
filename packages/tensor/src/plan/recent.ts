/** A map that keeps what was used last; the least recently used entry goes first. */

/** Plans kept per device, and captures per compiled function. */
export const KEPT_PLANS = 256;

export class Recent<V> {
  readonly #kept = new Map<string, V>();
  readonly #limit: number;

  constructor(limit: number = KEPT_PLANS) {
    this.#limit = limit;
  }

  get(key: string): V | undefined {
    const value = this.#kept.get(key);
    if (value !== undefined) this.set(key, value);
    return value;
  }

  set(key: string, value: V): void {
    this.#kept.delete(key);
    this.#kept.set(key, value);
    if (this.#kept.size > this.#limit) this.#kept.delete(this.#kept.keys().next().value!);
  }

  entries(): [string, V][] {
    return [...this.#kept];
  }
}
