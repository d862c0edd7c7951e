/** The allocators there are: a file beside this one and a line here; programs and plugins add theirs with `allocators.register`. */
import type { Allocator } from "../records/allocator.ts";
import { Registry } from "../records/registry.ts";
import { explained } from "./explained-variance.ts";
import { gora } from "./gora.ts";
import { magnitude } from "./magnitude.ts";
import { oracle } from "./oracle.ts";
import { random } from "./random.ts";
import { sensitivity } from "./sensitivity.ts";
import { uniform } from "./uniform.ts";

export const allocators: Registry<Allocator> = new Registry<Allocator>("allocator", [
  // by gradients
  sensitivity,
  gora,
  // by size
  magnitude,
  // by what goes in
  explained,
  // controls
  random,
  uniform,
  oracle,
]);
