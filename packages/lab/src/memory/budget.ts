/** How much memory a study may take: what was said, or what is free. */
import { freemem } from "node:os";
import type { Device } from "@lowrank/tensor";
import { InputError } from "../errors.ts";
import { cut } from "../text/shown.ts";

export interface MemoryBudget {
  /** Of the whole process where the device's memory is the process's, else of the device. */
  readonly bytes: number;
  /** Who says so: "--memory", or that it is free. */
  readonly said: boolean;
}

/** As on the labels of disks, and in powers of two. */
const UNITS: Readonly<Record<string, number>> = {
  MB: 1e6,
  GB: 1e9,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
};

/** `700MB`, `2GB`, `1.5GiB` as bytes. @throws InputError naming the option */
export function parseBytes(option: string): (value: string) => number {
  return (value) => {
    const [, number, unit] = /^(\d+(?:\.\d+)?) ?([KMG]i?B)$/i.exec(value.trim()) ?? [];
    const bytes = Math.round(Number(number) * (UNITS[unit?.toUpperCase() ?? ""] ?? Number.NaN));
    if (!(bytes > 0)) throw new InputError(`${option} ${cut(value)}: expected a size such as 700MB, 2GB or 1.5GiB`);
    return bytes;
  };
}

/** Memory that this process may still take, limits of a container counted in; null for devices with memory of their own. */
export function freeMemory(device: Pick<Device, "name"> | undefined): number | null {
  if (device === undefined || device.name !== "wasm") return null;
  const { availableMemory } = process as unknown as { readonly availableMemory?: () => number };
  return availableMemory?.() ?? freemem();
}

/** What is free is not taken to the last byte: others want some of it, and an estimate is one. */
const SHARE_OF_FREE = 0.9;

/** @param said bytes of `--memory`. @param processes who share what is free. @returns undefined where nobody knows of a limit */
export function budgetOf(
  device: Pick<Device, "name">,
  said: number | undefined,
  processes = 1,
): MemoryBudget | undefined {
  if (said !== undefined) return { bytes: said, said: true };
  const free = freeMemory(device);
  // what the process has taken is not free any more, and is part of its peak
  return free === null
    ? undefined
    : { bytes: (SHARE_OF_FREE * free) / processes + process.memoryUsage.rss(), said: false };
}
