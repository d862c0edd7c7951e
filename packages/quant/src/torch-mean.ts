/**
 * torch's mean of f32 numbers on an x86 CPU with one thread, to the last bit: its sum keeps 8 lanes (one AVX2 register) times 4
 * independent accumulators, and each of those cascades through 4 levels, so that no partial sum grows long (aten/native/cpu/SumKernel).
 */
const LANES = 8;
const CHAINS = 4;
const LEVELS = 4;

export function torchMean(values: Float32Array): number {
  return values.length === 0 ? 0 : Math.fround(torchSum(values) / values.length);
}

function torchSum(values: Float32Array): number {
  // fewer numbers than lanes are added as if there were one lane
  const lanes = values.length < LANES ? 1 : LANES;
  const rows = Math.floor(values.length / lanes);
  const whole = rowSum(values, rows, lanes);
  let sum = 0;
  for (let i = rows * lanes; i < values.length; i++) sum = Math.fround(sum + values[i]!);
  for (const lane of whole) sum = Math.fround(sum + lane);
  return sum;
}

/** Sums of each of `lanes` columns of values [rows, lanes]. */
function rowSum(values: Float32Array, rows: number, lanes: number): Float32Array {
  const width = CHAINS * lanes;
  const steps = Math.floor(rows / CHAINS);
  const power = Math.max(4, Math.floor(ceilLog2(steps) / LEVELS));
  const levels = Array.from({ length: LEVELS }, () => new Float32Array(width));
  const [first] = levels as [Float32Array];
  let i = 0;
  while (i + 2 ** power <= steps) {
    for (const end = i + 2 ** power; i < end; i++) addTo(first, values, i * width);
    for (let level = 1; level < LEVELS; level++) {
      addTo(levels[level]!, levels[level - 1]!);
      levels[level - 1]!.fill(0);
      if ((Math.floor(i / 2 ** (level * power)) & (2 ** power - 1)) !== 0) break;
    }
  }
  for (; i < steps; i++) addTo(first, values, i * width);
  for (const level of levels.slice(1)) addTo(first, level);
  const chains = Array.from({ length: CHAINS }, (_, k) => first.subarray(k * lanes, (k + 1) * lanes));
  const sum = chains[0]!;
  for (let row = steps * CHAINS; row < rows; row++) addTo(sum, values, row * lanes);
  for (const chain of chains.slice(1)) addTo(sum, chain);
  return sum;
}

function addTo(sums: Float32Array, values: Float32Array, from = 0): void {
  for (let k = 0; k < sums.length; k++) sums[k]! += values[from + k]!;
}

function ceilLog2(n: number): number {
  return n <= 1 ? 0 : 32 - Math.clz32(n - 1);
}
