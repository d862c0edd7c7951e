/** Option parsers: a bad value is an InputError that names the option and an example. */
import type { Command } from "commander";
import { InputError } from "../errors.ts";
import { cut } from "../text/shown.ts";

export const DEVICES = ["auto", "wasm", "webgpu", "reference"] as const;
export type DeviceChoice = (typeof DEVICES)[number];

/** Reports the exit code of a command that ended without an exception. */
export type Exit = (code: number) => void;

/** An option that is said twice would be ignored once. Lists (`collect`) may be. */
export function refuseRepetition(command: Command): void {
  for (const option of command.options) {
    if (option.parseArg === collect) continue;
    let said = 0;
    command.on(`option:${option.name()}`, () => {
      if (++said > 1) throw new InputError(`${option.long}: given twice; one of them would be ignored`);
    });
  }
}

/** Where a command computes. */
export function deviceOptions(command: Command): Command {
  return command
    .option("--device <kind>", `one of ${DEVICES.join(", ")}`, parseChoice("--device", DEVICES), "auto")
    .option("--threads <n>", "worker threads (default: all cores)", parseCount("--threads"));
}

/** Appends, for options that may be given several times. */
export function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

/** A path for `option`: an empty one, from a variable that is not set, would mean the working directory. */
export function parsePath(option: string): (value: string) => string {
  return (value) => {
    if (value.trim() === "") throw new InputError(`${option}: is empty; give a path, or . for the working directory`);
    return value;
  };
}

/** `13,42` as seeds. */
export function parseSeeds(value: string): number[] {
  const seeds = value.split(",").map((part) => wholeNumber("--seeds", part.trim(), 0));
  const twice = seeds.find((seed, i) => seeds.indexOf(seed) !== i);
  if (twice !== undefined) throw new InputError(`--seeds: ${twice} is given twice; one of them would be ignored`);
  return seeds;
}

/** Names for `option`: `b-fp,b-ada`. */
export function parseNames(option: string): (value: string) => string[] {
  return (value) => {
    const names = value.split(",").map((part) => part.trim());
    if (names.includes("")) throw new InputError(`${option} ${cut(value)}: expected names, such as b-fp,b-ada`);
    return names;
  };
}

/** One seed for `option`. */
export function parseSeed(option: string): (value: string) => number {
  return (value) => wholeNumber(option, value, 0);
}

/** A positive whole number for `option`. */
export function parseCount(option: string): (value: string) => number {
  return (value) => wholeNumber(option, value, 1);
}

/** For minutes: two years. */
const LARGEST_NUMBER = 1e6;

/** A positive number for `option`. */
export function parsePositive(option: string): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (value.trim() === "" || !(number > 0 && number <= LARGEST_NUMBER))
      throw new InputError(`${option} ${cut(value)}: expected a number above 0 and up to ${LARGEST_NUMBER}`);
    return number;
  };
}

/** One of `known` for `option`. */
export function parseChoice<T extends string>(option: string, known: readonly T[]): (value: string) => T {
  return (value) => {
    if (!(known as readonly string[]).includes(value))
      throw new InputError(`${option} ${cut(value)}: expected one of ${known.join(", ")}`);
    return value as T;
  };
}

function wholeNumber(option: string, value: string, least: number): number {
  if (!/^\d+$/.test(value) || Number(value) < least || Number(value) >= 2 ** 32) {
    throw new InputError(`${option} ${cut(value)}: expected a whole number from ${least} on`);
  }
  return Number(value);
}
