/** What the quantized formats share: the ways to make one. */
import type { Format, WeightForm, WeightFormat } from "@lowrank/nn";
import type { Device, Tensor } from "@lowrank/tensor";
import type { FourBitOptions } from "./options.ts";

/** A format that can also take a weight from where it is on a device. */
export interface QuantizedFormat extends WeightFormat {
  /** Whether the weight is turned from [in, out] to [out, in] first. */
  readonly transposed: boolean;
  keepFrom?(name: string, value: Tensor): Promise<WeightForm>;
}

/** How a form without numbers is to be. */
export interface EmptyOptions {
  /** Whether the weight is used as [in, out] while it is kept as [out, in]. */
  readonly transposed: boolean;
  /** Of four bits: whether scales are quantized too. */
  readonly doubleQuantization: boolean;
}

/** A form of files that is also made here, from numbers. */
export interface QuantizableFormat extends Format {
  /** A weight in this form of which all bytes are 0: for devices that plan and do not compute. Without it nothing can be planned. @param shape as the model has it */
  empty?(device: Device, shape: readonly number[], options: EmptyOptions): WeightForm;
  readonly quantizer?: {
    /** Which of the options it understands. */
    readonly takes: readonly (keyof QuantizerOptions)[];
    make(options: QuantizerOptions, transposed: boolean): QuantizedFormat;
  };
}

/** What may be said of how numbers become codes. */
export interface QuantizerOptions extends Omit<FourBitOptions, "type"> {
  /** Where codes are looked for when a loaded model is quantized: the bytes are the same. Default host. */
  readonly on?: "host" | "device";
}
