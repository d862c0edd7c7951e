/** `--sink NAME` and `--sink NAME=ADDRESS`: who receives the numbers of runs beside their own files. */
import { InputError } from "../errors.ts";
import type { SinkRecord } from "../records/sink.ts";
import { LOCAL, sinks } from "../sinks/registry.ts";

/** Sinks beside those that every run has, each bound to the address that was said for it. */
export function guestsOf(words: readonly string[]): SinkRecord[] {
  const found = words.map((word) => {
    const at = word.indexOf("=");
    const [name, address] = at < 0 ? [word, undefined] : [word.slice(0, at), word.slice(at + 1)];
    return { record: sinks.get(name), address };
  });
  return found.map(({ record, address }, i) => {
    const { name } = record;
    if (LOCAL.includes(record)) throw new InputError(`--sink ${name}: every run has it; leave it out`);
    if (found.findIndex((other) => other.record === record) !== i)
      throw new InputError(`--sink ${name}: given twice; leave it out`);
    if (address !== undefined && record.address === undefined)
      throw new InputError(`--sink ${name}=${address}: ${name} takes no address; say --sink ${name}`);
    record.check?.(address);
    return address === undefined ? record : { ...record, open: (place) => record.open({ ...place, address }) };
  });
}

/** For `--help`: names, and what may be said behind them. */
export function sinkWords(): string {
  const others = [...sinks.names].filter((name) => !LOCAL.some((record) => record.name === name));
  const words = others.map((name) => {
    const { address } = sinks.get(name);
    return address === undefined ? name : `${name}[=${address}]`;
  });
  return `receives numbers beside the run's own files: ${words.join(", ")}; may be repeated`;
}
