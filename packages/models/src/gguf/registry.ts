/** Architectures of GGUF files that are understood. A new one is a file of its own and a line here. */
import { LowrankError, quote } from "@lowrank/tensor";
import type { GgufArchitecture } from "./architecture.ts";
import { gemma3 } from "./gemma3.ts";
import { llama } from "./llama.ts";
import { qwen2, qwen3 } from "./qwen.ts";

const ARCHITECTURES: readonly GgufArchitecture[] = [
  gemma3,
  // a line each
  llama,
  qwen2,
  qwen3,
];

/** @throws LowrankError (NotBuiltError) */
export function ggufArchitecture(name: string): GgufArchitecture {
  const found = ARCHITECTURES.find((architecture) => architecture.name === name);
  if (found === undefined)
    throw new LowrankError(
      "NotBuiltError",
      `GGUF: the architecture ${quote(name)} is not built; there are ${ARCHITECTURES.map((a) => a.name).join(", ")}`,
    );
  return found;
}

/** The architecture that models of a family are written as. @throws LowrankError (NotBuiltError) */
export function ggufArchitectureFor(modelType: string): GgufArchitecture {
  const found = ARCHITECTURES.find(({ modelTypes }) => modelTypes.includes(modelType));
  if (found === undefined)
    throw new LowrankError(
      "NotBuiltError",
      `GGUF: models of the family ${quote(modelType)} are not written; there are ${ARCHITECTURES.flatMap((a) => a.modelTypes).join(", ")}`,
    );
  return found;
}
