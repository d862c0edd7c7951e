/** What loading a checkpoint would come to: the steps of `fromPretrained` up to the first tensor that is read. */
import { Embedding, Projection } from "@lowrank/nn";
import { readQuantizationConfig } from "@lowrank/quant";
import { fitWeights, requireFit, type WeightsFit } from "../fit.ts";
import { identityOf, requireFamily } from "../identity.ts";
import type { PretrainedModel } from "../pretrained.ts";
import { architectureFor, architectureOf, build, modelTypeOf, taskOf } from "../registry.ts";
import { requireBuilt } from "../shared/config.ts";
import { WeightsFile } from "../weights-file.ts";
import type { LoadFacts, ParameterFacts, WeightFacts } from "./facts.ts";
import { reasonOf, type Opened } from "./opened.ts";

const UNKNOWN: LoadFacts = {
  as: null,
  task: null,
  refused: null,
  fresh: [],
  missing: [],
  unexpected: [],
  notBuilt: [],
  parameters: null,
};

export interface Loads {
  readonly facts: LoadFacts;
  readonly weights: readonly WeightFacts[];
  /** With its shape only; undefined where no family has it. */
  readonly model: PretrainedModel | undefined;
}

export function loadsAs({ config, weights, where, called, refused }: Opened): Loads {
  if (config === undefined) return { facts: { ...UNKNOWN, refused: refused ?? null }, weights: [], model: undefined };
  let facts: LoadFacts = UNKNOWN;
  let kept: readonly WeightFacts[] = [];
  let model: PretrainedModel | undefined;
  try {
    // one that is not known by name may still say its family
    identityOf(config);
    const as = architectureOf(architectureFor(config));
    facts = { ...facts, as: as.architecture, task: taskOf(as.architecture) ?? null };
    requireFamily(config, as, modelTypeOf, where);
    model = build(as, config);
    facts = { ...facts, notBuilt: model.config.notBuilt, parameters: parametersOf(model) };
    // whoever quantized them is named before it is said what the weights lie in
    const said = readQuantizationConfig(config)?.format;
    if (weights === undefined) return { facts: { ...facts, refused: refused ?? null }, weights: [], model };
    const file = new WeightsFile(weights, where, [], called);
    file.requireReadable();
    const fit = fitWeights(model, file, false);
    facts = {
      ...facts,
      fresh: fit.fresh.filter((name) => !fit.lacking.includes(name)),
      missing: fit.lacking,
      unexpected: fit.unused,
    };
    kept = weightsIn(model, file, fit);
    requireBuilt(model.config);
    requireFit(model, file, fit, { missing: "refuse", said });
    return { facts, weights: kept, model };
  } catch (error) {
    return { facts: { ...facts, refused: reasonOf(error) }, weights: kept, model };
  }
}

/** Each weight that the file has, once. */
function weightsIn(model: PretrainedModel, file: WeightsFile, { place }: WeightsFit): WeightFacts[] {
  const seen = new Set<unknown>();
  return [...model.namedWeights()].flatMap(([name, weight]) => {
    const at = place(name);
    if (at === undefined || seen.has(weight)) return [];
    seen.add(weight);
    const entries = file.entries(at);
    return [
      {
        name,
        dtype: file.formOf(at)?.name ?? file.file.info(at).dtype,
        shape: [...weight.shape],
        bytes: entries.reduce((sum, entry) => sum + file.file.info(entry).bytes, 0),
        doubleQuantized: entries.some((entry) => entry.endsWith(".nested_absmax")),
      },
    ];
  });
}

function parametersOf(model: PretrainedModel): ParameterFacts {
  const modules = [...model.namedModules()].map(([, module]) => module);
  const tables = new Set(modules.flatMap((m) => (m instanceof Embedding ? [m.weight] : [])));
  const matrices = new Set(
    modules.flatMap((m) => (m instanceof Projection && !tables.has(m.weight) ? [m.weight] : [])),
  );
  const sum = (weights: Iterable<{ readonly size: number }>): number =>
    [...weights].reduce((n, { size }) => n + size, 0);
  return { total: sum(new Set(model.weights())), embedding: sum(tables), linear: sum(matrices) };
}
