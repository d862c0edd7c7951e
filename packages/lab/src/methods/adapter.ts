/** What methods share whose result is an adapter beside its base. */
import type { PretrainedModel } from "@lowrank/models";
import {
  adapt,
  attach,
  resizeAdapter,
  saveAdapter,
  type Adapter,
  type AdapterConfig,
  type AdapterOptions,
  type AdaptiveMethod,
  type OptionsOf,
} from "@lowrank/peft";
import { headOf } from "../bases/base.ts";
import type { ModelKind } from "../bases/kind.ts";
import type { LinearShape, BaseShape } from "../bases/shape.ts";
import type { MethodConfig } from "../config/study.ts";
import { deriveSeed } from "../random/seeds.ts";
import type { AdaptContext, Adaptation, Method, TrainedFacts } from "../records/method.ts";
import type { Base } from "../bases/base.ts";
import type { ModuleRow, Proof } from "../store/result.ts";
import type { LayerParts } from "@lowrank/nn";
import { keepsBase, quantizationStartProof } from "./loftq.ts";
import { placed } from "./places.ts";
import { rankProofs } from "./rank-proofs.ts";
import { predictAdapter, type Targets } from "./rules.ts";
import { tokenRowsProof } from "./token-rows.ts";

export type AdapterMethodConfig = MethodConfig & Targets;

/** Where an adapter sits, in PEFT's words. */
export type CommonWords = Pick<OptionsOf<AdapterConfig>, "targetModules" | "modulesToSave" | "taskType">;

export interface AdapterMethodParts<O extends AdapterMethodConfig> extends Pick<
  Method<O>,
  "name" | "label" | "rates" | "schema" | "check" | "checkSteps" | "ordered" | "withRanks"
> {
  /** The study's words in PEFT's. */
  words(options: O, common: CommonWords, totalSteps: number): AdapterOptions;
  /** What stands for the options where only shapes matter and steps are not known. */
  shortest?(options: O): O;
  rows(found: readonly LinearShape[], options: O, shape: BaseShape): ModuleRow[];
  /** Values that it adds and does not train. */
  frozen?(rows: readonly ModuleRow[]): number;
  allocator?(adapter: Adapter, options: O, base: Base, context: AdaptContext): Promise<AdaptiveMethod | undefined>;
  /** What the training loss holds beside the loss where there is no allocator. */
  regularizer?(adapter: Adapter, options: O): Adaptation["regularizer"];
  /** Which gradients the allocator sees, where the config says so. */
  allocatorSees?(options: O): Adaptation["allocatorSees"];
  /** Where a start needs data: the options as that settles them, and what is done to the fresh adapter. */
  settle?(base: Base, options: O, context: AdaptContext): Promise<Settled<O> | undefined>;
  /** Whether the start looks at the weights before they were quantized. */
  fromOriginal?(options: O): boolean;
  /** What the rate of a weight is multiplied by, where that is not 1. */
  lrScales?(adapter: Adapter, options: O): Adaptation["lrScales"];
  /** Proofs of the method's own switches. */
  ownProofs?(options: O, trained: TrainedFacts): Proof[];
  /** What the config switches on. */
  switches?(options: O): { readonly allocates: boolean; readonly regularizes: boolean };
}

export interface Settled<O> {
  readonly options: O;
  begin(adapter: Adapter): Promise<readonly Proof[]>;
}

export function adapterMethod<O extends AdapterMethodConfig>(parts: AdapterMethodParts<O>): Method<O> {
  const { name, words } = parts;
  const wordsFor = (model: PretrainedModel, kind: ModelKind, options: O, totalSteps: number): AdapterOptions =>
    words(options, commonWords(options, kind, headOf(model, kind), model.family.parts), totalSteps);
  return {
    ...parts,
    leaves: "adapter",
    whole: ({ modulesToSave }) => modulesToSave,
    async adapt(base, said, context): Promise<Adaptation> {
      const { model, kind, device } = base;
      const settled = await parts.settle?.(base, said, context);
      const options = settled?.options ?? said;
      const seed = deriveSeed(context.seed, "init");
      const original = parts.fromOriginal?.(options) === true ? await context.data.base(seed) : undefined;
      let adapter: Adapter;
      try {
        adapter = await adapt(model, wordsFor(model, kind, options, context.totalSteps), {
          device,
          seed,
          ...(original === undefined ? {} : { original: original.model }),
        });
      } finally {
        original?.dispose();
      }
      const proofs = [
        ...((await settled?.begin(adapter)) ?? []),
        ...quantizationStartProof(adapter),
        ...tokenRowsProof(adapter),
      ];
      const lrScales = parts.lrScales?.(adapter, options);
      const allocator = await parts.allocator?.(adapter, options, base, context);
      const regularizer = allocator === undefined ? parts.regularizer?.(adapter, options) : undefined;
      return {
        adapter,
        proofs,
        ...(settled === undefined ? {} : { settled: options }),
        ...(lrScales === undefined ? {} : { lrScales }),
        ...(regularizer === undefined ? {} : { regularizer }),
        ...(allocator === undefined ? {} : { allocator, allocatorSees: parts.allocatorSees?.(options) }),
        async save(files, allocation, card = {}) {
          if (allocation !== undefined)
            await resizeAdapter(adapter, new Map(allocation.modules.map(({ module, mask }) => [module, mask])));
          await saveAdapter(adapter, files, { card, keepStart: keepsBase(adapter) });
        },
      };
    },
    attach(model, kind, options) {
      attach(model, wordsFor(model, kind, parts.shortest?.(options) ?? options, 1));
    },
    predict: (shape, options) =>
      predictAdapter(shape, options, (found) => parts.rows(found, options, shape), parts.frozen),
    proofs: (options, trained) => [
      ...rankProofs({ method: name, allocates: false, regularizes: false, ...parts.switches?.(options) }, trained),
      ...(parts.ownProofs?.(options, trained) ?? []),
    ],
  };
}

/** @param head modules of the head that the task trains */
function commonWords(
  { target, modulesToSave }: Targets,
  kind: ModelKind,
  head: readonly string[],
  parts: LayerParts,
): CommonWords {
  // with the task's type PEFT trains the head by itself
  const trained = head.length > 0 && head.every((name) => modulesToSave.includes(name));
  return {
    targetModules: placed(target, parts),
    modulesToSave: trained ? modulesToSave.filter((name) => !head.includes(name)) : modulesToSave,
    taskType: trained && kind !== "MASKED_LM" ? kind : undefined,
  };
}
