/** NF4 and FP4 as bitsandbytes keeps them: codes under the weight's name, scales, tables and a state beside it. */
import { readEntries, type LoadTarget } from "@lowrank/nn";
import { transposeOf, LowrankError, readTensor, type TensorSource } from "@lowrank/tensor";
import { bnbConfig } from "../bnb-config.ts";
import { fromEntries, STATE } from "../bnb-file.ts";
import { fourBit, FourBitWeight } from "../four-bit.ts";
import type { QuantizableFormat } from "../format.ts";
import { dequantizeFourBit, emptyState, type FourBitState } from "../state.ts";
import type { FourBitType } from "../tables.ts";

export function bnbFourBit(type: FourBitType): QuantizableFormat {
  const matches = (source: TensorSource, name: string): readonly string[] | undefined =>
    source.has(name) && source.has(`${name}.${STATE}${type}`)
      ? [name, ...source.names.filter((n) => n.startsWith(`${name}.`))]
      : undefined;
  const stateOf = async (source: TensorSource, name: string, target: LoadTarget): Promise<FourBitState> => {
    const { allowNonFinite, shape, transposed } = target;
    const entries = await readEntries((n) => readTensor(source, n), matches(source, name)!);
    const state = fromEntries(name, entries, { allowNonFinite });
    const wanted = transposed ? [...shape].reverse() : shape;
    if (state.shape.join() !== wanted.join())
      throw new LowrankError(
        "FormatError",
        `${name}: the file has [${state.shape.join(", ")}] in four bits, the model wants [${wanted.join(", ")}]`,
      );
    return state;
  };
  return {
    name: type,
    matches,
    load: async (device, source, name, target) =>
      new FourBitWeight(device, await stateOf(source, name, target), target.transposed),
    async decode(source, name, target) {
      const state = await stateOf(source, name, target);
      const data = dequantizeFourBit(state);
      const [out, into] = state.shape as [number, number];
      return { dtype: "f32", shape: target.shape, data: target.transposed ? transposeOf(data, out, into) : data };
    },
    partOf: (name) => /^(.*)\.(?:quant_state\..*|absmax|quant_map|nested_absmax|nested_quant_map)$/.exec(name)?.[1],
    write: {
      entries: (name, form) => (form as FourBitWeight).entries(name),
      config: (kept) => {
        const doubleQuantization = kept.weights.some(({ form }) => (form as FourBitWeight).doubleQuantized);
        return bnbConfig(kept, { format: type, doubleQuantization });
      },
    },
    empty: (device, shape, { transposed, doubleQuantization }) =>
      new FourBitWeight(
        device,
        emptyState(type, transposed ? [...shape].reverse() : shape, { doubleQuantization }),
        transposed,
      ),
    quantizer: {
      takes: ["blockSize", "doubleQuantization", "on"],
      make: ({ on: _, ...options }, transposed) => fourBit({ ...options, type }, transposed),
    },
  };
}
