/** Whether a class of models has use for what options say of labels: one that has none would take them and do nothing. */
import { LowrankError } from "@lowrank/tensor";
import type { ModelClass, PretrainedModel } from "./pretrained.ts";
import { architectureFor, taskOf } from "./registry.ts";
import type { LabelOverrides } from "./shared/labels.ts";

/** PEFT's tasks whose heads have labels and one loss only. */
const ONE_LOSS: readonly (string | undefined)[] = ["TOKEN_CLS", "QUESTION_ANS"];

/**
 * @param model of the class `as`, built with the options
 * @throws LowrankError (ConfigError) naming the option, the class, and the one that is meant
 */
export function requireLabelled(as: ModelClass, model: PretrainedModel, { labels, problemType }: LabelOverrides): void {
  const said = labels !== undefined ? "labels" : problemType !== undefined ? "problemType" : undefined;
  if (said !== undefined && !sizedByLabels(as, model))
    throw new LowrankError(
      "ConfigError",
      `fromPretrained: ${as.architecture} has no head of labels, and "${said}" would do nothing: leave it out, or load a classifier${classifierOf(as)}`,
    );
  if (problemType !== undefined && ONE_LOSS.includes(taskOf(as.architecture)))
    throw new LowrankError(
      "ConfigError",
      `fromPretrained: ${as.architecture} has one loss, and "problemType" would do nothing: leave it out, or load a classifier of texts${classifierOf(as)}`,
    );
}

/** Asked of the class itself, whoever wrote it: whether one label more gives a weight another shape. */
function sizedByLabels(as: ModelClass, model: PretrainedModel): boolean {
  const { config } = model;
  const shapes = (one: PretrainedModel): string[] =>
    [...one.namedWeights()].map(([name, { shape }]) => `${name} ${shape.join()}`);
  const other = shapes(new as({ ...config, numLabels: config.numLabels + 1, id2label: undefined } as never));
  return shapes(model).some((line, i) => line !== other[i]);
}

/** How the family's classifier of texts is asked for, where there is one. */
function classifierOf({ family: { modelType } }: ModelClass): string {
  try {
    return ` (task: "SEQ_CLS" without a class, or ${architectureFor({ model_type: modelType }, "SEQ_CLS")})`;
  } catch {
    return "";
  }
}
