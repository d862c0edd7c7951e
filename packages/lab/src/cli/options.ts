/** Option parsers: a bad value is an InputError that names the option and an example. */
import { InputError } from "../errors.ts";

export const DEVICES = ["auto", "wasm", "webgpu", "reference"] as const;
export type DeviceChoice = (typeof DEVICES)[number];

/** Appends, for options that may be given several times. */
export function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

/** `13,42` as seeds. */
export function parseSeeds(value: string): number[] {
  return value.split(",").map((part) => wholeNumber("--seeds", part.trim(), 0));
}

/** A positive whole number for `option`. */
export function parseCount(option: string): (value: string) => number {
  return (value) => wholeNumber(option, value, 1);
}

/** A positive number for `option`. */
export function parsePositive(option: string): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (value.trim() === "" || !Number.isFinite(number) || number <= 0) throw new InputError(`${option} ${value}: expected a number above 0`);
    return number;
  };
}

/** One of `known` for `option`. */
export function parseChoice<T extends string>(option: string, known: readonly T[]): (value: string) => T {
  return (value) => {
    if (!(known as readonly string[]).includes(value)) throw new InputError(`${option} ${value}: expected one of ${known.join(", ")}`);
    return value as T;
  };
}

function wholeNumber(option: string, value: string, least: number): number {
  if (!/^\d+$/.test(value) || Number(value) < least || Number(value) >= 2 ** 32) {
    throw new InputError(`${option} ${value}: expected a whole number from ${least} on`);
  }
  return Number(value);
}
