/** What one core can do at most: a loop of multiply-adds on registers, nothing else. Benchmarks are quoted as fractions of it. */
import { now } from "../../clock.ts";
import { Code } from "./loop/code.ts";
import { ModuleBuilder } from "./asm/index.ts";
import { wasmApi, type WasmFunction } from "./platform.ts";
import { enableRelaxedSimd } from "./relaxed-simd.ts";

/** Independent chains: more than latency (4) times throughput (2) of any current core, fewer than the registers. */
const CHAINS = 12;
const UNROLL = 4;
const ROUNDS = 2_000_000;

export interface PeakMeasurement {
  /** Median over the repetitions. */
  readonly gflops: number;
  /** Whether the multiply-add is one instruction. */
  readonly fused: boolean;
}

/** GFLOP/s of 128-bit f32 multiply-adds on the calling thread. */
export function measureFmaPeak(repetitions: number = 9): PeakMeasurement {
  const fused = enableRelaxedSimd();
  const module = new ModuleBuilder();
  const c = Code.kernel(module, "peak", 0, { fma: fused });
  const factor = c.keep("v128", c.f4const(0.999));
  const chains = Array.from({ length: CHAINS }, (_, i) => c.keep("v128", c.f4const(i + 1)));
  const i = c.local("i32");
  c.for(i, c.i32(0), c.i32(ROUNDS), 1, () => {
    for (let u = 0; u < UNROLL; u++) {
      for (const chain of chains) {
        c.set(chain, c.madd(c.get(chain), c.get(factor), c.get(factor)));
      }
    }
  });
  // the sum is stored, so that no compiler can leave the loop out
  c.store(
    "v128.store",
    c.at.bytes(0),
    0,
    chains.map((x) => c.get(x)).reduce((a, b) => c.f4("add", a, b)),
  );
  const api = wasmApi();
  const memory = new api.Memory({ initial: 1, maximum: 1, shared: false });
  const { exports } = new api.Instance(new api.Module(module.toBytes()), { env: { memory } });
  const run = exports["peak"] as WasmFunction;
  const flops = 2 * 4 * CHAINS * UNROLL * ROUNDS;
  for (let warm = 0; warm < 3; warm++) run(0, 0, 0, 0);
  const rates = Array.from({ length: repetitions }, () => {
    const start = now();
    run(0, 0, 0, 0);
    return flops / (now() - start) / 1e6;
  }).sort((a, b) => a - b);
  return { gflops: rates[repetitions >> 1]!, fused };
}
