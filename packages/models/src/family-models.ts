/** A family with its classes: what the registry holds, and what a folder of a family gives. */
import type { FamilyFacts } from "@lowrank/nn";
import { quote } from "@lowrank/tensor";
import { callback, having, listOf, mapOf, name, optional, refuse, text, type Rule } from "@lowrank/tensor/check";
import type { ModelClass, ModelFamily } from "./pretrained.ts";

export interface FamilyModels {
  readonly family: ModelFamily;
  /** The bare model, without a head: PEFT's task FEATURE_EXTRACTION. */
  readonly base: ModelClass;
  /** Models with a head by PEFT's task type; the first is what a file without `architectures` is loaded as. */
  readonly tasks: Readonly<Record<string, ModelClass>>;
  /** Models with a head for which PEFT has no task type. */
  readonly others?: readonly ModelClass[];
}

const names = listOf(name);
const targets: Rule<FamilyFacts["targets"]> = having<FamilyFacts["targets"]>("the targets of adapter methods", {
  lora: names,
  ia3: optional(names),
  ia3Feedforward: optional(names),
  vera: optional(names),
  adalora: optional(names),
});
const parts: Rule<FamilyFacts["parts"]> = having<FamilyFacts["parts"]>("rank patterns of a layer's parts", {
  attention: names,
  ffn: names,
});

const aFamily: Rule<ModelFamily> = having<ModelFamily>("what is true of a family (a ModelFamily)", {
  modelType: name,
  targets,
  parts,
  inputEmbeddings: names,
  outputEmbeddings: names,
  slicedTables: names,
  gradientFree: names,
  buffers: names,
  heads: mapOf(names),
  basePrefix: text,
  sizeKeys: listOf(names),
  floatKeys: names,
  parse: callback(),
  file: callback(),
  sized: optional(callback()),
});

const members = having<ModelClass>("a class of models, such as BertModel", { architecture: name, family: aFamily });
/** A class, not its name. */
export const aModelClass: Rule<ModelClass> = {
  expects: members.expects,
  read(value, at) {
    if (typeof value !== "string") return members.read(value, at);
    return refuse(
      at,
      `must be ${members.expects}, got ${quote(value)}; architectureOf(${quote(value)}) gives it where it is known`,
    );
  },
};

/** What `registerFamily` takes. */
export const FAMILY_MODELS: Rule<FamilyModels> = having<FamilyModels>("a family with its classes (FamilyModels)", {
  family: aFamily,
  base: aModelClass,
  tasks: mapOf(aModelClass),
  others: optional(listOf(aModelClass)),
});
