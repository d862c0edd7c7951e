/** One random pair of projections for all modules, two trained vectors for each (Kopiczko et al. 2024). Names and meaning as in PEFT's VeraConfig. */
import { z } from "zod";
import { count, probability, seed } from "../config/numbers.ts";
import type { Method } from "../records/method.ts";
import { adapterMethod, type AdapterMethodConfig } from "./adapter.ts";
import { VERA_RATES } from "./rates.ts";
import { modulesToSave, names, numerics, train } from "./words.ts";

export interface VeraMethod extends AdapterMethodConfig {
  readonly method: "vera";
  readonly exclude?: undefined;
  readonly r: number;
  readonly dropout: number;
  readonly dInitial: number;
  /** What the projections are drawn from, whatever the run's seed. */
  readonly projectionPrngKey: number;
  readonly saveProjection: boolean;
}

export const vera: Method<VeraMethod> = adapterMethod<VeraMethod>({
  name: "vera",
  label: "VeRA",
  rates: VERA_RATES,
  schema: (facts) =>
    z.strictObject({
      method: z.literal("vera"),
      r: count.default(256),
      dropout: probability.default(0),
      dInitial: z.number().default(0.1),
      projectionPrngKey: seed.default(0),
      saveProjection: z.boolean().default(true),
      target: names,
      modulesToSave: modulesToSave(facts),
      ...numerics,
      train,
    }),
  words: ({ r, dropout, dInitial, projectionPrngKey, saveProjection }, common) => ({
    ...common,
    method: "vera",
    r,
    dropout,
    dInitial,
    projectionPrngKey,
    saveProjection,
  }),
  // two vectors; the projections are buffers and nobody's parameters
  rows: (found, { r }) =>
    found.map((linear) => ({
      module: linear.path,
      in: linear.in,
      out: linear.out,
      rank: r,
      parameters: r + linear.out,
    })),
});
