/** Forms that things leave in, a line each. */
import type { ExportTarget } from "./target.ts";
import { ggufLora, mlx, peft } from "./targets/adapters.ts";
import { gguf } from "./targets/gguf.ts";
import { hf } from "./targets/hf.ts";

export const EXPORTS: readonly ExportTarget[] = [
  // adapters
  peft,
  ggufLora,
  mlx,
  // models
  hf,
  gguf,
];
