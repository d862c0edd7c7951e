/** Records by name: those that are built in, a line each in the registry of their kind, and those that programs and plugins add. */
import { quote, suggestion } from "@lowrank/tensor/check";
import { InputError } from "../errors.ts";
import { cut } from "../text/shown.ts";

export class Registry<R extends { readonly name: string }> {
  /** What the records are, in messages: "task". */
  readonly what: string;
  readonly #records = new Map<string, R>();

  constructor(what: string, built: readonly R[]) {
    this.what = what;
    for (const record of built) this.register(record);
  }

  get names(): string[] {
    return [...this.#records.keys()];
  }

  get all(): R[] {
    return [...this.#records.values()];
  }

  has(name: string): boolean {
    return this.#records.has(name);
  }

  /** @throws InputError with the nearest name */
  get(name: string): R {
    const found = this.#records.get(name);
    if (found === undefined)
      throw new InputError(`there is no ${this.what} ${quote(cut(name))}${suggestion(cut(name), this.names)}`);
    return found;
  }

  /** Makes a record known by its name, as if it were built in. @throws InputError where the name is taken, or is none */
  register(record: R): void {
    const { name } = (record ?? {}) as { readonly name?: unknown };
    if (typeof name !== "string" || !/^[a-z0-9][a-z0-9-]*$/.test(name))
      throw new InputError(
        `a ${this.what} needs a name of lower-case letters, digits and hyphens, got ${quote((name ?? null) as never)}`,
      );
    const known = this.#records.get(name);
    if (known === record) return;
    if (known !== undefined)
      throw new InputError(`there is a ${this.what} ${quote(name)} already; give this one another name`);
    this.#records.set(name, record);
  }
}
