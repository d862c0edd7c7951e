/** Settings of runs that nobody made: as the study's file resolves them where a config says no more than its method. */
import { resolveConfig } from "../src/config/cells.ts";
import { studyOf } from "../src/config/load.ts";
import type { ResolvedConfig } from "../src/config/study.ts";

const raw = {
  name: "usual",
  task: { name: "sst2" },
  base: "somewhere",
  seeds: [1],
  train: { lr: 1e-3 },
  configs: { lora: { method: "lora", target: ["query"] }, adalora: { method: "adalora", target: ["query"] } },
};
const study = await studyOf(raw, "usual");

export const USUAL: Readonly<Record<"lora" | "adalora", ResolvedConfig>> = {
  lora: resolveConfig(study, "lora"),
  adalora: resolveConfig(study, "adalora"),
};
