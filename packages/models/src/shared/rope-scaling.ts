/** How rotary angles are stretched over longer texts than a model began with: transformers' rules (`modeling_rope_utils.py`). */

export type RopeScaling =
  | { readonly kind: "default" }
  /** Positions over a factor (kaiokendev 2023). */
  | { readonly kind: "linear"; readonly factor: number }
  /** A base that grows with the longest text of a batch, beyond `positions` (NTK-aware, bloc97 and emozilla 2023). */
  | { readonly kind: "dynamic"; readonly factor: number; readonly positions: number }
  /** Slow angles over a factor, fast ones kept, those between blended (Llama 3.1). */
  | {
      readonly kind: "llama3";
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      /** Of the model before it was stretched. */
      readonly positions: number;
    }
  /** The same by a ramp over the elements of a head, with cosines and sines times `attentionFactor` (Peng et al. 2023). */
  | {
      readonly kind: "yarn";
      readonly factor: number;
      readonly attentionFactor: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      readonly truncate: boolean;
      readonly positions: number;
    };

/** θ^(−2i/d) for each pair i of a head of width d. */
function plain(theta: number, width: number): Float64Array {
  return Float64Array.from({ length: width / 2 }, (_, i) => 1 / theta ** ((2 * i) / width));
}

/**
 * The angle of each pair of elements at position 1: [width / 2].
 * @param length of the longest text, which counts where the base is dynamic
 */
export function frequencies(theta: number, width: number, scaling: RopeScaling, length: number): Float64Array {
  switch (scaling.kind) {
    case "default":
      return plain(theta, width);
    case "linear":
      return plain(theta, width).map((f) => f / scaling.factor);
    case "dynamic":
      return plain(dynamicTheta(theta, width, scaling, length), width);
    case "llama3":
      return plain(theta, width).map((f) => blended(f, scaling));
    case "yarn": {
      const [low, high] = ramp(theta, width, scaling);
      return plain(theta, width).map((f, i) => {
        const stretched = Math.min(Math.max((i - low) / (high - low), 0), 1);
        return (f / scaling.factor) * stretched + f * (1 - stretched);
      });
    }
  }
}

/** What cosines and sines are multiplied by. */
export function attentionFactor(scaling: RopeScaling): number {
  return scaling.kind === "yarn" ? scaling.attentionFactor : 1;
}

/** How many positions a model reaches that says it has `positions`: some files count those before stretching, some those after it. */
export function reach(positions: number, scaling: RopeScaling): number {
  switch (scaling.kind) {
    case "default":
      return positions;
    case "linear":
      return Math.ceil(positions * scaling.factor);
    case "dynamic":
      return Infinity;
    case "llama3":
    case "yarn":
      return Math.max(positions, Math.ceil(scaling.positions * scaling.factor));
  }
}

/** The base for a longest text of `length` tokens: θ·(s·length/positions − (s − 1))^(d/(d − 2)), and θ up to `positions`. */
function dynamicTheta(
  theta: number,
  width: number,
  { factor, positions }: RopeScaling & { kind: "dynamic" },
  length: number,
): number {
  const longest = Math.max(length, positions);
  return theta * ((factor * longest) / positions - (factor - 1)) ** (width / (width - 2));
}

function blended(
  f: number,
  { factor, lowFreqFactor, highFreqFactor, positions }: RopeScaling & { kind: "llama3" },
): number {
  const wave = (2 * Math.PI) / f;
  if (wave < positions / highFreqFactor) return f;
  if (wave > positions / lowFreqFactor) return f / factor;
  const kept = (positions / wave - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  return ((1 - kept) * f) / factor + kept * f;
}

/** The pairs between which angles pass from kept to divided: those that turn `betaFast` and `betaSlow` times over the model's positions. */
function ramp(
  theta: number,
  width: number,
  { betaFast, betaSlow, truncate, positions }: RopeScaling & { kind: "yarn" },
): readonly [number, number] {
  const pair = (turns: number): number => (width * Math.log(positions / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const [fast, slow] = [pair(betaFast), pair(betaSlow)];
  const low = Math.max(truncate ? Math.floor(fast) : fast, 0);
  const high = Math.min(truncate ? Math.ceil(slow) : slow, width - 1);
  // transformers' way around a ramp without a length
  return [low, low === high ? high + 0.001 : high];
}

/** 0.1·m·ln(factor) + 1: by how much yarn lets attention grow sharper. */
function sharpening(factor: number, m: number): number {
  return factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1;
}

/** yarn's `attention_factor` where the file has none. */
export function yarnAttentionFactor(factor: number, mscale: number | undefined, all: number | undefined): number {
  return mscale !== undefined && all !== undefined && mscale !== 0 && all !== 0
    ? sharpening(factor, mscale) / sharpening(factor, all)
    : sharpening(factor, 1);
}
