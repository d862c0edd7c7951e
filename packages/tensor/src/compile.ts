/**
 * Captures a function from tensors to tensors, a whole training step for instance, and replays it with no graph work.
 * One plan per input signature. Parameters assigned inside are updated in place at every call; values that change from step to
 * step must be inputs, live tensors or parameters. To hold that, the first two calls of a signature both trace the function: if
 * the two graphs differ, a JavaScript number changed in between and would have been frozen.
 */
import type { StepTiming } from "./backends/backend.ts";
import type { Device } from "./device.ts";
import type { DType } from "./dtype.ts";
import type { Prepared, Result } from "./engine.ts";
import { DTypeError, LowrankError, quote } from "./errors.ts";
import { traceDTypes, type DTypeTrace } from "./graph/dtype-trace.ts";
import { buildProgram, type Program } from "./graph/program.ts";
import { Node } from "./graph/node.ts";
import { hostValue, type HostData } from "./host-values.ts";
import { leafPrimitive } from "./ops/sources.ts";
import { signatureOf } from "./graph/signature.ts";
import { formatShape } from "./shape.ts";
import { Tensor } from "./tensor.ts";

/** Values of one input, on the host. */
export interface HostTensor {
  readonly data: HostData;
  readonly shape: readonly number[];
  /** Default: what the array type suggests (Float32Array f32, Int32Array i32, Uint8Array u8), else the device's float. Values of another type are converted. */
  readonly dtype?: DType;
}

export type CompileInputs = Record<string, HostTensor>;

export interface CompiledInfo {
  /** Bytes of intermediates a run needs, known before it runs. */
  readonly arenaBytes: number;
  /** Milliseconds of the first call's preparation: tracing, scheduling, planning, generating code. */
  readonly compileMs: number;
  readonly kernels: number;
  readonly steps: number;
  /** Nodes of the captured graph. */
  readonly nodes: number;
  readonly signature: string;
  /** dtypes of storage, products and reductions, read off the graph. */
  readonly dtypes: DTypeTrace;
}

export interface Compiled<Out extends Record<string, Tensor>> {
  (inputs: CompileInputs): Promise<Out>;
  /** Traces and plans without running. */
  plan(inputs: Record<string, { readonly shape: readonly number[]; readonly dtype: DType }>): CompiledInfo;
  /** One entry per input signature seen. */
  info(): CompiledInfo[];
  /** Receives kernel timings of every call while set. */
  onTimings: ((timings: StepTiming[]) => void) | undefined;
}

interface Captured {
  readonly program: Program;
  readonly names: readonly string[];
  readonly prepared: Prepared;
  readonly compileMs: number;
  readonly graph: string;
  verified: boolean;
}

export function compile<Out extends Record<string, Tensor>>(device: Device, fn: (inputs: Record<string, Tensor>) => Out): Compiled<Out> {
  const captures = new Map<string, Captured>();

  function capture(key: string, specs: Record<string, { shape: readonly number[]; dtype: DType }>): Captured {
    const started = now();
    const placeholders = Object.fromEntries(Object.entries(specs).map(([name, s]) => [name, device.input(name, s.shape, s.dtype)]));
    if (device.pending.size > 0) throw new LowrankError("CompileError", "compile: parameters have pending assignments; await device.realize() first");
    const traced = fn(placeholders);
    const names = Object.keys(traced);
    const program = buildProgram(names.map((n) => traced[n]!.node), device.takePending());
    const graph = signatureOf(program);
    const before = captures.get(key);
    if (before !== undefined) {
      if (before.graph !== graph) {
        throw new LowrankError("CompileError", "compile: the function built a different graph the second time (a JavaScript number changed between calls); pass it as an input, a live tensor or a parameter");
      }
      before.verified = true;
      return before;
    }
    const prepared = device.engine.prepare(program);
    const captured: Captured = { program, names, prepared, compileMs: now() - started, graph, verified: false };
    captures.set(key, captured);
    return captured;
  }

  const call = async (inputs: CompileInputs): Promise<Out> => {
    const entries = Object.entries(inputs).map(([name, x]) => [name, specOf(device, name, x)] as const);
    const specs = Object.fromEntries(entries);
    // before anything else, so that a refused input leaves no trace
    const values = new Map(entries.map(([name, { dtype, shape }]) => [name, hostValue(`compiled input "${name}"`, dtype, shape, inputs[name]!.data)]));
    const key = keyOf(specs);
    let captured = captures.get(key);
    if (captured === undefined || !captured.verified) captured = capture(key, specs);
    const timings: StepTiming[] | undefined = call.onTimings === undefined ? undefined : [];
    const results = await device.launch(captured.prepared, captured.program, values, timings);
    if (timings !== undefined) call.onTimings?.(timings);
    return Object.fromEntries(captured.names.map((name, i) => [name, resultTensor(device, captured.program.outputs[i]!, results[i]!)])) as Out;
  };
  call.onTimings = undefined as ((timings: StepTiming[]) => void) | undefined;
  call.plan = (specs: Record<string, { readonly shape: readonly number[]; readonly dtype: DType }>): CompiledInfo => {
    const key = keyOf(specs);
    return describe(key, captures.get(key) ?? capture(key, specs));
  };
  call.info = (): CompiledInfo[] => [...captures].map(([key, c]) => describe(key, c));
  return call;
}

function describe(signature: string, { prepared, program, compileMs }: Captured): CompiledInfo {
  const { arenaBytes, kernels, steps } = prepared;
  return { arenaBytes, compileMs, kernels, steps, nodes: program.nodes.length, signature, dtypes: traceDTypes(program) };
}

function keyOf(specs: Record<string, { readonly shape: readonly number[]; readonly dtype: DType }>): string {
  return Object.entries(specs).map(([name, s]) => `${/^\w+$/.test(name) ? name : JSON.stringify(name)}:${s.dtype}${formatShape(s.shape)}`).join(" ");
}

function specOf(device: Device, name: string, x: HostTensor): { shape: readonly number[]; dtype: DType } {
  const what = `compiled input "${name}"`;
  if (typeof x !== "object" || x === null || x.data === undefined || x.shape === undefined) throw new DTypeError(`${what}: give { data, shape, dtype? }, got ${quote(x)}`);
  return { shape: x.shape, dtype: x.dtype ?? device.storable(what, x.data) };
}

function resultTensor(device: Device, like: Node, result: Result): Tensor {
  const leaf = device.resultLeaf(result, like);
  return new Tensor(new Node(leafPrimitive, [], {}, like.shape, like.dtype, leaf), device);
}

function now(): number {
  return (globalThis as { performance?: { now(): number } }).performance?.now() ?? 0;
}
