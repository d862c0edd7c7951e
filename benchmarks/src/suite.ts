/** What a benchmark is, and how one is measured: tinybench's samples, with the multiply-add peak measured again beside each. */
import { measureFmaPeak } from "@lowrank/tensor";
import { Bench } from "tinybench";

export interface Benchmark {
  readonly name: string;
  /** What `amount` counts, per second or per element. */
  readonly unit: "GFLOP/s" | "GB/s" | "ns/element" | "ms";
  /** Work of one call: floating-point operations, bytes or elements. Ignored for ms. */
  readonly amount: number;
  readonly threads: number;
  /** Makes the thing to be measured; what it returns is called again and again. */
  prepare(): Promise<{ run(): Promise<unknown>; close(): void }>;
  /** Calls at most, where one takes long. */
  readonly calls?: number;
}

export interface Row {
  readonly name: string;
  readonly unit: string;
  readonly median: number;
  readonly p25: number;
  readonly p75: number;
  readonly n: number;
  /** Fraction of what `against` names: of the peak of as many threads, or of the estimated memory; null where there is neither. */
  readonly ratio: number | null;
  readonly against: string | null;
  /** Milliseconds of one call, median. */
  readonly ms: number;
}

/** Milliseconds a benchmark is sampled for, unless `calls` ends it first. */
const SAMPLE_MS = 1500;
const PEAK_REPETITIONS = 5;

export async function measure(benchmark: Benchmark): Promise<Row> {
  const { name, unit, amount, threads } = benchmark;
  const thing = await benchmark.prepare();
  try {
    const bench = new Bench({
      time: benchmark.calls === undefined ? SAMPLE_MS : 0,
      iterations: benchmark.calls ?? 5,
      warmupIterations: 3,
      warmupTime: 0,
      retainSamples: true,
      throws: true,
    });
    bench.add(name, () => thing.run());
    // before and after: the machine's speed drifts, and the ratio must not
    const before = measureFmaPeak(PEAK_REPETITIONS).gflops;
    await bench.run();
    const peak = (before + measureFmaPeak(PEAK_REPETITIONS).gflops) / 2;
    const { result } = bench.tasks[0]!;
    if (!("latency" in result)) throw new Error(`internal: ${name} gave no samples`);
    const samples = [...(result.latency.samples ?? [])].sort((a, b) => a - b);
    const at = (q: number): number => samples[Math.min(samples.length - 1, Math.floor(q * samples.length))]!;
    const convert = (ms: number): number =>
      unit === "ms" ? ms : unit === "ns/element" ? (1e6 * ms) / amount : amount / ms / 1e6;
    const ends = [convert(at(0.25)), convert(at(0.75))].sort((a, b) => a - b) as [number, number];
    const median = convert(at(0.5));
    return {
      name,
      unit,
      median,
      p25: ends[0],
      p75: ends[1],
      n: samples.length,
      ms: at(0.5),
      ratio: unit === "GFLOP/s" ? median / (peak * threads) : null,
      against: unit === "GFLOP/s" ? `peak/fma128/t1 × ${threads}` : null,
    };
  } finally {
    thing.close();
  }
}

/** One benchmark measured in several rounds: the median of each figure, the outermost of the quartiles. */
export function mergeRounds(rows: readonly Row[]): Row {
  const middle = (of: (row: Row) => number): number => rows.map(of).sort((a, b) => a - b)[(rows.length - 1) >> 1]!;
  const first = rows[0]!;
  return {
    ...first,
    median: middle((r) => r.median),
    ms: middle((r) => r.ms),
    ratio: first.ratio === null ? null : middle((r) => r.ratio!),
    p25: Math.min(...rows.map((r) => r.p25)),
    p75: Math.max(...rows.map((r) => r.p75)),
    n: rows.reduce((sum, r) => sum + r.n, 0),
  };
}

/** The peak itself, as a row of its own. */
export function peakRow(): Row {
  const rates = Array.from({ length: 9 }, () => measureFmaPeak(3).gflops).sort((a, b) => a - b);
  return {
    name: "peak/fma128/t1",
    unit: "GFLOP/s",
    median: rates[4]!,
    p25: rates[2]!,
    p75: rates[6]!,
    n: 9,
    ratio: 1,
    against: "peak/fma128/t1 × 1",
    ms: 0,
  };
}
