/** `--sink NAME`: who receives the numbers of runs beside their own files. */
import { InputError } from "../errors.ts";
import type { SinkRecord } from "../records/sink.ts";
import { LOCAL, sinks } from "../sinks/registry.ts";

/** Sinks beside those that every run has. */
export function guestsOf(names: readonly string[]): SinkRecord[] {
  const found = names.map((name) => sinks.get(name));
  for (const [i, record] of found.entries())
    if (LOCAL.includes(record) || found.indexOf(record) !== i)
      throw new InputError(
        `--sink ${record.name}: ${LOCAL.includes(record) ? "every run has it" : "given twice"}; leave it out`,
      );
  return found;
}
