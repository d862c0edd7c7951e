/**
 * What a backend can and what things cost there: all that the scheduler and the memory plan know of a device. A backend declares its
 * target (`Backend.target`) in its own folder; no stage asks which backend it is.
 *
 * Two of the numbers decide in which order something is summed (`splitReductionFrom`, `reductionParts`): devices that shall agree in
 * their last bits have the same ones there.
 */
export interface Target {
  /** Most distinct buffers that one kernel may touch. */
  readonly maxArguments: number;
  /** Optional abilities, by the names the platform gives them (WebGPU: `shader-f16`, `subgroups`). A template may require some. */
  readonly features: ReadonlySet<string>;
  /** Offsets of buffers in the arena are multiples of so many bytes, a power of two. */
  readonly arenaAlignment: number;
  /** The same of the parts of a buffer that a template's phases are given. */
  readonly partAlignment: number;
  /** Results of at most so many bytes come to the host with the run where memory is shared: a loss needs no buffer of its own. */
  readonly hostResultBytes: number;

  /**
   * Dearest element that each kernel which wants it computes anew, in the units of a primitive's cost (0 free, 1 arithmetic, 8 and more
   * transcendental). What is dearer, or reads more than one tensor, is stored once and shared.
   */
  readonly repeatCost: number;
  /**
   * Whether a product computes its operands while it reads them: a widened or dequantized weight, an input after dropout, arithmetic on
   * what is narrower than its result. Where it does not, only views and widening casts are left to it, and the rest is stored first.
   */
  readonly computesOperands: boolean;
  /** Multiply-adds of a product below which it keeps a kernel of its own. Devices may sum tiny products in an order of their own, which company must not change. */
  readonly leastSharedProduct: number;
  /** Accumulators that a kernel of several products may keep apart from each other. They share registers and the nearest cache. */
  readonly maxAccumulators: number;
  /** Most results that are computed from a product and stored by its kernel, in place of the product itself. Beyond, storing the product is cheaper. */
  readonly maxProductResults: number;

  /** A reduction of a whole tensor of at least so many elements is done in two kernels, so that threads can share it. */
  readonly splitReductionFrom: number;
  /** Most rows that such a reduction is cut into; the largest divisor of its size up to this. */
  readonly reductionParts: number;
}

/** Numbers that suit a device about which nothing is known: a backend starts from them and says what it knows better. */
export const baseTarget: Target = {
  maxArguments: 8,
  features: new Set(),
  arenaAlignment: 256,
  partAlignment: 4,
  hostResultBytes: 4096,
  repeatCost: 3,
  computesOperands: true,
  leastSharedProduct: 256,
  maxAccumulators: 4,
  maxProductResults: 2,
  splitReductionFrom: 1 << 15,
  reductionParts: 128,
};
