/**
 * One run, from a fresh base to what it leaves: open, adapt, prove, train, prove again, publish. Knows nothing of other runs.
 */
import type { AllocationRecord } from "@lowrank/peft";
import type { Proof } from "../store/result.ts";
import { dtypeProof, narrowDTypes } from "./numerics-proofs.ts";
import { demand, fingerprints, finiteProof, movementProof, startProof, taskLossProof } from "./proofs.ts";
import { keepWeights } from "./keep.ts";
import { publishRun, type PublishedRun } from "./publish.ts";
import type { RunRequest, RunSurroundings } from "./request.ts";
import { adaptAndProve, openBase } from "./start.ts";
import { train, type Trained, type Workload } from "./train.ts";
import type { AdaptedBase } from "./adapt.ts";

/** Trains and evaluates; writes everything but `result.json` and `measures.json`, which it returns. */
export async function executeRun(
  request: RunRequest,
  workload: Workload,
  surroundings: RunSurroundings,
): Promise<PublishedRun> {
  // over all attempts
  const started = performance.now() - 1000 * (surroundings.checkpoints?.from?.seconds.total ?? 0);
  const opened = await openBase(request, workload, surroundings);
  try {
    const { adapted, proofs: before } = await adaptAndProve(request, workload, opened, surroundings);
    const bytes = await bytesOf(adapted);
    const trained = await train(request, workload, adapted, { ...surroundings, started });
    const after = await proveAfter(request, workload, adapted, trained, bytes);
    const { kept, proofs } = await keepWeights(trained);
    demand(proofs);
    return await publishRun(request, workload, surroundings, {
      adapted,
      trained,
      kept,
      proofs: [...before, ...after, ...proofs],
      started,
    });
  } finally {
    opened.base.dispose();
  }
}

/** Digests of all weights, by whether they train. */
interface WeightBytes {
  readonly frozen: ReadonlyMap<string, string>;
  readonly trainable: ReadonlyMap<string, string>;
}

async function bytesOf({ frozen, trainable }: AdaptedBase): Promise<WeightBytes> {
  return { frozen: await fingerprints(frozen), trainable: await fingerprints(trainable) };
}

/** What training did is what the config says, or the run has failed. */
async function proveAfter(
  { config }: RunRequest,
  { method }: Workload,
  adapted: AdaptedBase,
  trained: Trained,
  before: WeightBytes,
): Promise<Proof[]> {
  const after = await bytesOf(adapted);
  const proofs = [
    movementProof(before.frozen, after.frozen, before.trainable, after.trainable, {
      emptied: emptied(trained.allocation),
      gradientFree: adapted.base.model.family.gradientFree,
    }),
    ...startProof(config.train, trained),
    ...taskLossProof(trained.scores),
    await finiteProof(trained.steps, adapted.trainable, trained.scores),
    dtypeProof(trained.dtypes, config.method, narrowDTypes(adapted.base.model)),
    ...method.proofs(config.method, trained),
  ];
  demand(proofs);
  return proofs;
}

/** Singular values of modules that were left without a rank: they began as zero and are zero again. */
function emptied(record: AllocationRecord | undefined): Set<string> {
  return new Set(record?.modules.filter((m) => m.kept === 0).map((m) => `${m.module}.lora_E.default`));
}
