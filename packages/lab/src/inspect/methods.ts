/** Which adapter methods fit a model, and on which modules by default: each is put on a model of shapes only. */
import type { ModelClass, PretrainedModel } from "@lowrank/models";
import { adaLoraConfig, adapterMethods, attach, type AdapterOptions, type TaskType } from "@lowrank/peft";
import { LowrankError } from "@lowrank/tensor";

export interface MethodFacts {
  /** Word in options: "lora". */
  readonly method: string;
  readonly label: string;
  /** Why it does not fit, in one line; null where it does. */
  readonly refused: string | null;
  /** Names of the modules that it takes by default, and how many there are of each. */
  readonly modules: readonly { readonly name: string; readonly count: number }[];
  /** With the method's default rank; null where it does not fit. */
  readonly trainable: number | null;
  /** Heads that train whole beside it. */
  readonly saved: readonly string[];
}

/** AdaLoRA wants to know how long it has; the number of its parameters does not depend on it. */
const TOTAL_STEP = 1000;

export function methodsFor(model: PretrainedModel, task: string | null): MethodFacts[] {
  const as = model.constructor as unknown as ModelClass;
  return adapterMethods().map(({ name: method, label }) => {
    const options = {
      method,
      ...(method === "adalora" ? { adaLora: adaLoraConfig({ totalStep: TOTAL_STEP }) } : {}),
      ...(task === null ? {} : { taskType: task as TaskType }),
    } as AdapterOptions;
    const facts = { method, label, modules: [], trainable: null, saved: [] };
    try {
      const adapter = attach(new as(model.config as never), options);
      const names = new Map<string, number>();
      for (const { module } of adapter.table) {
        const name = module.slice(module.lastIndexOf(".") + 1);
        names.set(name, (names.get(name) ?? 0) + 1);
      }
      const modules = [...names].map(([name, count]) => ({ name, count }));
      return {
        ...facts,
        refused: null,
        modules,
        trainable: adapter.report().trainable,
        saved: [...adapter.saved.keys()],
      };
    } catch (error) {
      if (!(error instanceof LowrankError) || error.kind !== "input") throw error;
      return { ...facts, refused: error.message };
    }
  });
}
