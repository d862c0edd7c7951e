/** What a model is called with: tensors by name, checked when a call is traced and never while a plan is replayed. */
import { ops, ShapeError, Tensor } from "@lowrank/tensor";
import { CacheStep } from "./key-value-cache.ts";
import { fields, instance, optional, type Rule, type Rules } from "@lowrank/tensor/check";

export interface TextInputs {
  /** i32 [batch, length]. */
  readonly inputIds: Tensor;
  /** bool or 0/1 [batch, length]; true = may be attended. Default: everything. */
  readonly attentionMask?: Tensor;
}

/** Inputs of any model: each class has some of them. */
export interface ModelInputs extends TextInputs {
  readonly tokenTypeIds?: Tensor;
  readonly positionIds?: Tensor;
  readonly labels?: Tensor;
  readonly positions?: Tensor;
  readonly cache?: CacheStep;
  readonly startPositions?: Tensor;
  readonly endPositions?: Tensor;
}

/** Rules by the name of an input. */
export type InputRules = Readonly<Record<string, Rule<unknown>>>;

const tensor: Rule<Tensor> = instance(Tensor);
export const anyTensor: Rule<Tensor | undefined> = optional(tensor);
export const aCacheStep: Rule<CacheStep | undefined> = optional(instance(CacheStep));

/** Names from transformers, for people who bring them along. */
const SPELT = {
  input_ids: "inputIds",
  attention_mask: "attentionMask",
  token_type_ids: "tokenTypeIds",
  position_ids: "positionIds",
  label: "labels",
  label_ids: "labels",
  start_positions: "startPositions",
  end_positions: "endPositions",
};

/** A rule for inputs that are texts and, by name, whatever else `extra` allows. */
export function inputsRule<T extends object>(extra: InputRules): Rule<T> {
  return fields<T>({ inputIds: tensor, attentionMask: anyTensor, ...extra } as unknown as Rules<T>, { spelt: SPELT });
}

/** [batch, length] of a model's ids, refused where there are not so many positions. Given positions bound themselves, and packed rows may be longer. */
export function textShape(inputIds: Tensor, positions: number): readonly [number, number] {
  if (inputIds.rank !== 2) throw new ShapeError(`inputIds must be [batch, length], got [${inputIds.shape.join(", ")}]`);
  const [batch, length] = inputIds.shape as [number, number];
  if (length > positions)
    throw new ShapeError(`input of ${length} tokens is longer than the model's ${positions} positions; truncate it`);
  return [batch, length];
}

/** What goes along with each token must be as large as the tokens are. */
export function checkBeside(inputs: Readonly<Record<string, Tensor | undefined>>, inputIds: Tensor): void {
  for (const [name, x] of Object.entries(inputs)) {
    if (x !== undefined && x.shape.join() !== inputIds.shape.join())
      throw new ShapeError(
        `${name} must be [${inputIds.shape.join(", ")}] as inputIds is, got [${x.shape.join(", ")}]`,
      );
  }
}

/** [batch, length, hidden] → [batch, hidden]. */
export function firstToken(hidden: Tensor): Tensor {
  const [batch, , size] = hidden.shape as [number, number, number];
  return ops.reshape(ops.slice(hidden, 1, 0, 1), [batch, size]);
}
