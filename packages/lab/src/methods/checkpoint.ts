/** Methods that train weights of the base itself and leave a checkpoint: all of them, or those of the head. */
import { savePretrained } from "@lowrank/models";
import { z } from "zod";
import type { Base } from "../bases/base.ts";
import type { MethodConfig } from "../config/study.ts";
import type { Adaptation, Method } from "../records/method.ts";
import { rankProofs } from "./rank-proofs.ts";
import { FULL_RATES, HEAD_RATES } from "./rates.ts";
import { isUnder, wholeModules } from "./rules.ts";
import { numerics, train } from "./words.ts";

/** Every parameter trained. */
export interface FullMethod extends MethodConfig {
  readonly method: "full";
}

/** Everything frozen but the named modules. */
export interface HeadMethod extends MethodConfig {
  readonly method: "head";
  /** Module names or suffixes, as PEFT's modules_to_save; by default the task's head alone. */
  readonly modules: readonly string[];
}

function leaving({ model }: Base): Adaptation {
  return { save: (files) => savePretrained(model, files) };
}

export const full: Method<FullMethod> = {
  name: "full",
  label: "all weights trained",
  rates: FULL_RATES,
  leaves: "checkpoint",
  schema: () => z.strictObject({ method: z.literal("full"), train, ...numerics }),
  check: ({ storage }, at) =>
    storage === "f32"
      ? undefined
      : `"${at}.storage" is ${storage}, but full fine-tuning trains every weight, which needs f32`,
  whole: () => [],
  adapt: async (base) => leaving(base),
  predict: ({ total }) => ({ trainable: total, total, modules: [] }),
  proofs: ({ method }, trained) => rankProofs({ method, allocates: false, regularizes: false }, trained),
};

export const head: Method<HeadMethod> = {
  name: "head",
  label: "output layer alone",
  rates: HEAD_RATES,
  leaves: "checkpoint",
  schema: (facts) =>
    z.strictObject({
      method: z.literal("head"),
      modules: z
        .array(z.string())
        .min(1)
        .default([...facts.head]),
      train,
      ...numerics,
    }),
  check: ({ modules }, at) =>
    modules.length > 0 ? undefined : `"${at}.modules" is missing: the task's model has no head that could train alone`,
  whole: ({ modules }) => modules,
  async adapt(base, { modules }) {
    base.model.freeze();
    base.model.unfreeze(modules);
    return leaving(base);
  },
  // for a head of its own a whole part of the model may be named
  predict: (shape, { modules }) => ({
    trainable: wholeModules(shape, modules, ({ path }, name) => isUnder(path, name)).values,
    total: shape.total,
    modules: [],
  }),
  proofs: ({ method }, trained) => rankProofs({ method, allocates: false, regularizes: false }, trained),
};
