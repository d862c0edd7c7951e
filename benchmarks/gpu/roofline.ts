/**
 * What the card gives to hand-written WGSL: multiply-adds on registers, copies between buffers, what a dispatch and a submission cost,
 * how long a pipeline takes to make. Beside these the engine's figures say something even on a card whose data sheet nobody has at hand.
 */
import { openAdapter } from "./adapter.ts";
import { median, type Context } from "./row.ts";

const WORKGROUP = 256;
/** Independent vec4 accumulators of a thread: enough to hide a multiply-add's latency. */
const CHAINS = 8;
const ROUNDS = 512;

const FMA = /* wgsl */ `
@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>;
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = (group.x * ${WORKGROUP}u + local) % arrayLength(&x);
  let a = x[i];
  ${Array.from({ length: CHAINS }, (_, c) => `var s${c} = a + ${c}.0;`).join(" ")}
  for (var r = 0; r < ${ROUNDS}; r++) {
    ${Array.from({ length: CHAINS }, (_, c) => `s${c} = fma(s${c}, a, s${c});`).join(" ")}
  }
  x[i] = ${Array.from({ length: CHAINS }, (_, c) => `s${c}`).join(" + ")};
}`;

const COPY = /* wgsl */ `
@group(0) @binding(0) var<storage, read_write> to: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> x: array<vec4<f32>>;
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = (group.x + group.y * groups.x) * ${WORKGROUP}u + local;
  if (i < arrayLength(&x)) { to[i] = x[i]; }
}`;

/** A different program each time, so that nobody's cache knows it. */
const fresh = (n: number): string => /* wgsl */ `
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) { x[id.x] = x[id.x] * ${n}.5f + ${n + 1}.25f; }`;

export async function measureRoofline({ small, report, spent, cut }: Context): Promise<void> {
  const { gpu, adapter } = await openAdapter();
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const device = await adapter.requestDevice({ requiredLimits: { maxBufferSize, maxStorageBufferBindingSize } });
  const buffer = (size: number): GPUBuffer => device.createBuffer({ size, usage: GPU_STORAGE });
  const pipeline = (code: string): GPUComputePipeline =>
    device.createComputePipeline({
      layout: "auto",
      compute: { module: device.createShaderModule({ code }), entryPoint: "main" },
    });

  /** Milliseconds until `times` dispatches are done. */
  async function time(
    made: GPUComputePipeline,
    buffers: readonly GPUBuffer[],
    grid: readonly [number, number],
    times: number,
    submissions = 1,
  ): Promise<number> {
    const group = device.createBindGroup({
      layout: made.getBindGroupLayout(0),
      entries: buffers.map((b, binding) => ({ binding, resource: { buffer: b } })),
    });
    const began = performance.now();
    for (let s = 0; s < submissions; s++) {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(made);
      pass.setBindGroup(0, group);
      for (let i = 0; i < times; i++) pass.dispatchWorkgroups(...grid);
      pass.end();
      device.queue.submit([encoder.finish()]);
    }
    await device.queue.onSubmittedWorkDone();
    return performance.now() - began;
  }
  const best = async (run: () => Promise<number>): Promise<number> => {
    await run();
    const samples: number[] = [];
    while (samples.length < 5 && (samples.length === 0 || !spent())) samples.push(await run());
    return median(samples);
  };

  const mebibyte = 1 << 20;
  const copied = small ? mebibyte : Math.min(256 * mebibyte, maxStorageBufferBindingSize);
  const groups = Math.ceil(copied / 16 / WORKGROUP);
  const [from, to] = [buffer(copied), buffer(copied)];

  const threads = (small ? 1 : 8192) * WORKGROUP;
  const flops = threads * CHAINS * 4 * 2 * ROUNDS;
  const repeats = small ? 1 : 8;
  const fma = pipeline(FMA);
  const fmaMs = (await best(() => time(fma, [from], [threads / WORKGROUP, 1], repeats))) / repeats;
  report({ name: "peak/fma", value: flops / fmaMs / 1e9, unit: "TFLOP/s", ms: fmaMs, flops });

  if (spent()) return cut("copies, dispatches and pipelines were not measured");
  const copy = pipeline(COPY);
  const across = Math.min(groups, 32768);
  const grid = [across, Math.ceil(groups / across)] as const;
  const copyMs = (await best(() => time(copy, [to, from], grid, repeats))) / repeats;
  const bytes = 2 * copied;
  report({ name: "peak/copy", value: bytes / copyMs / 1e6, unit: "GB/s", ms: copyMs, bytes });

  if (spent()) return cut("dispatches and pipelines were not measured");
  const many = small ? 20 : 1000;
  const tiny = pipeline(fresh(0));
  const dispatch = (await best(() => time(tiny, [to], [1, 1], many))) / many;
  report({ name: "cost/dispatch", value: 1000 * dispatch, unit: "µs", ms: dispatch, note: `${many} in one pass` });
  const submit = (await best(() => time(tiny, [to], [1, 1], 1, many / 10))) / (many / 10);
  report({
    name: "cost/submit",
    value: 1000 * submit,
    unit: "µs",
    ms: submit,
    note: "one dispatch each, one after the other",
  });
  const wait = await best(() => time(tiny, [to], [1, 1], 1));
  report({
    name: "cost/round-trip",
    value: 1000 * wait,
    unit: "µs",
    ms: wait,
    note: "a dispatch until the host knows",
  });

  if (spent()) return cut("pipelines were not measured");
  const made = small ? 3 : 20;
  const began = performance.now();
  for (let i = 1; i <= made; i++) await time(pipeline(fresh(i)), [to], [1, 1], 1);
  const each = (performance.now() - began) / made;
  report({ name: "cost/pipeline", value: each, unit: "ms", ms: each, note: "a new small one, first run included" });
  device.destroy();
  // until here the object that made the device must live
  void gpu;
}

/** GPUBufferUsage's STORAGE, COPY_SRC and COPY_DST: Node has no such global. */
const GPU_STORAGE = 128 | 4 | 8;
