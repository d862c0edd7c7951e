/**
 * Captures a function from tensors to tensors, a whole training step for instance, and replays it with no graph work.
 * One plan per input signature, the last 256 of them. Parameters assigned inside are updated in place at every call; values that
 * change from step to step must be inputs, live tensors or parameters. To hold that, the first two calls of a signature both trace the
 * function: if the two graphs or the values they close over differ, something changed in between and would have been frozen.
 *
 * A capture is made again when what it was made from has changed: `structureState` is another (an adapter was merged, a module put
 * into training, a weight quantized), another precision policy is in force, or a parameter was disposed.
 */
import type { StepTiming } from "./backends/backend.ts";
import { now } from "./clock.ts";
import type { Device } from "./device.ts";
import type { DType } from "./dtype.ts";
import type { Planned, Result } from "./engine.ts";
import { DTypeError, invariant, LowrankError, quote } from "./errors.ts";
import { traceDTypes, type DTypeTrace } from "./graph/dtype-trace.ts";
import { outgrown } from "./graph/index-checks.ts";
import { Node } from "./graph/node.ts";
import { buildProgram, type Program } from "./graph/program.ts";
import { signatureOf } from "./graph/signature.ts";
import { hostValue, type HostData } from "./host-values.ts";
import { leaf as leafPrimitive } from "./primitives/sources.ts";
import { Parameter } from "./parameter.ts";
import { Recent } from "./plan/recent.ts";
import { currentPrecision, type PrecisionPolicy } from "./precision.ts";
import { formatShape } from "./shape.ts";
import { structureState } from "./structure.ts";
import { Tensor } from "./tensor.ts";
import { refuseInTrace, trace } from "./tracing.ts";

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
  /** Operations of the matrix products of a run, two for a multiplication and an addition (`plan/flops.ts`); 0 on the reference device. */
  readonly flops: number;
  /** Bytes of the constants that a run reads; they stay on the device, shared with whatever else reads them. */
  readonly constantBytes: number;
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

/** The plan of one call. */
export interface RanPlan extends Pick<CompiledInfo, "arenaBytes" | "flops"> {
  /** The call traced, planned or made code before it ran: its time says little about the next. */
  readonly fresh: boolean;
}

export interface Compiled<Out extends Record<string, Tensor>> {
  (inputs: CompileInputs): Promise<Out>;
  /** Traces and plans without running. */
  plan(inputs: Record<string, { readonly shape: readonly number[]; readonly dtype: DType }>): CompiledInfo;
  /** One entry per input signature seen. */
  info(): CompiledInfo[];
  /** What the latest call ran, known once it has begun; undefined before the first. Costs nothing to ask. */
  readonly ran: RanPlan | undefined;
  /** Receives kernel timings of every call while set. */
  onTimings: ((timings: StepTiming[]) => void) | undefined;
}

interface Trace {
  readonly program: Program;
  readonly names: readonly string[];
  readonly graph: string;
  /** States of the host in which tracing gave this graph, the last ones first. */
  readonly states: readonly string[];
  readonly policy: PrecisionPolicy | undefined;
}

/** Training and evaluating by turns need two; a few more for several models. */
const KEPT_STATES = 8;

interface Captured extends Trace {
  readonly planned: Planned;
  /** What making it took; counted again once the code is there, where that takes its time. */
  readonly made: { ms: number };
  readonly verified: boolean;
}

type Specs = Record<string, { readonly shape: readonly number[]; readonly dtype: DType }>;

/**
 * @param fn is run while capturing only: it builds results from its inputs and assigns parameters. It must be synchronous, and can
 * neither read values nor write them.
 * @throws CompileError, when called, for whatever a capture cannot hold
 */
export function compile<Out extends Record<string, Tensor>>(
  device: Device,
  fn: (inputs: Record<string, Tensor>) => Out,
): Compiled<Out> {
  if (typeof fn !== "function") throw new LowrankError("CompileError", `compile: give a function, got ${quote(fn)}`);
  if (fn.constructor.name === "AsyncFunction") throw asyncRefusal();
  const captures = new Recent<Captured>();

  /** The capture to run: the one there is, unless it is new or what it was made from has changed since. */
  function capture(key: string, specs: Specs): Captured {
    const known = captures.get(key);
    const current = known !== undefined && isCurrent(known);
    if (current && known.verified) return known;
    const started = now();
    const traced = traceOf(device, fn, specs);
    let captured: Captured;
    if (current) {
      const changed = difference(known, traced);
      if (changed !== undefined)
        throw new LowrankError(
          "CompileError",
          `compile: ${changed}; pass it as an input, a live tensor or a parameter`,
        );
      captured = { ...known, verified: true };
    } else {
      // equal graphs share a plan; the parameters they run on may be others, and where they are not, both states are right
      const states =
        known !== undefined && known.policy === traced.policy && difference(known, traced) === undefined
          ? [...traced.states, ...known.states].slice(0, KEPT_STATES)
          : traced.states;
      const planned = device.plan(traced.program);
      const preparing = device.prepare(planned);
      const fresh: Captured = {
        ...traced,
        states,
        planned,
        made: { ms: now() - started },
        verified: known?.verified === true && known.graph === traced.graph,
      };
      // a failure is told to the call that runs it
      preparing?.then(
        () => (fresh.made.ms = now() - started),
        () => undefined,
      );
      captured = fresh;
    }
    captures.set(key, captured);
    return captured;
  }

  const call = async (inputs: CompileInputs): Promise<Out> => {
    refuseInTrace("another compiled function is called");
    device.checkUsable();
    const entries = Object.entries(inputs).map(([name, x]) => [name, specOf(device, name, x)] as const);
    const specs = Object.fromEntries(entries);
    // before anything else, so that a refused input leaves no trace
    const values = new Map(
      entries.map(([name, { dtype, shape }]) => [
        name,
        hostValue(`compiled input "${name}"`, dtype, shape, inputs[name]!.data),
      ]),
    );
    const key = keyOf(specs);
    const known = captures.get(key);
    let captured = capture(key, specs);
    if (outgrown(captured.program.indexChecks, values)) {
      captured = capture(key, specs);
      invariant(!outgrown(captured.program.indexChecks, values), "a table was asked to grow and did not");
    }
    const { arenaBytes, flops } = captured.planned;
    call.ran = { arenaBytes, flops, fresh: captured !== known };
    const timings: StepTiming[] | undefined = call.onTimings === undefined ? undefined : [];
    const results = await device.launch(captured.planned, values, { timings });
    // a run may have ended before the device was closed; whoever still waited for it is told all the same
    device.checkUsable();
    if (timings !== undefined) call.onTimings?.(timings);
    return Object.fromEntries(
      captured.names.map((name, i) => [name, resultTensor(device, captured.program.outputs[i]!, results[i]!)]),
    ) as Out;
  };
  call.ran = undefined as RanPlan | undefined;
  call.onTimings = undefined as ((timings: StepTiming[]) => void) | undefined;
  call.plan = (specs: Specs): CompiledInfo => {
    const key = keyOf(specs);
    const known = captures.get(key);
    return describe(key, known !== undefined && isCurrent(known) ? known : capture(key, specs));
  };
  call.info = (): CompiledInfo[] => captures.entries().map(([key, c]) => describe(key, c));
  return call;
}

/** Whether tracing again would look at the same things on the host. */
function isCurrent({ states, policy, program }: Trace): boolean {
  return (
    states.includes(structureState()) && policy === currentPrecision() && !program.cells.some((cell) => cell.disposed)
  );
}

/** Runs `fn` on placeholders. Whatever it throws, no assignment of its stays behind. */
function traceOf(device: Device, fn: (inputs: Record<string, Tensor>) => unknown, specs: Specs): Trace {
  device.checkUsable();
  if (device.pending.size > 0)
    throw new LowrankError(
      "CompileError",
      "compile: parameters have pending assignments; await device.realize() first",
    );
  // before the function runs: it may set modes itself
  const states = [structureState()];
  const placeholders = Object.fromEntries(
    Object.entries(specs).map(([name, s]) => [name, device.input(name, s.shape, s.dtype)]),
  );
  try {
    const results = namedResults(
      device,
      trace(device, () => fn(placeholders)),
    );
    const assignments = device.takePending();
    if (results.length + assignments.length === 0)
      throw new LowrankError(
        "CompileError",
        "compile: the function returns no tensor and assigns no parameter, so there is nothing to run",
      );
    const program = buildProgram(
      results.map(([, x]) => x.node),
      assignments,
    );
    return {
      program,
      names: results.map(([name]) => name),
      graph: signatureOf(program),
      states,
      policy: currentPrecision(),
    };
  } catch (error) {
    device.takePending();
    throw error;
  }
}

function asyncRefusal(): LowrankError {
  return new LowrankError(
    "CompileError",
    "compile: the function is async; what it awaits would run once, while it is captured, and never again. Make it synchronous, and await values outside",
  );
}

/** @throws CompileError naming the first result that is not a tensor of this device */
function namedResults(device: Device, returned: unknown): [string, Tensor][] {
  const refuse = (what: string): never => {
    throw new LowrankError("CompileError", `compile: ${what}`);
  };
  if (typeof (returned as PromiseLike<unknown> | undefined)?.then === "function") {
    // nobody else will look at it
    void Promise.resolve(returned).catch(() => undefined);
    throw asyncRefusal();
  }
  if (typeof returned !== "object" || returned === null || Array.isArray(returned) || returned instanceof Tensor) {
    return refuse(
      `the function must return an object of named tensors, such as { loss }, got ${returned instanceof Tensor ? "a Tensor" : quote(returned)}`,
    );
  }
  return Object.entries(returned as Record<string, unknown>).map(([name, x]) => {
    if (!(x instanceof Tensor))
      return refuse(
        `result "${name}" must be a Tensor, got ${x instanceof Parameter ? "a Parameter; return its .value" : quote(x)}`,
      );
    if (x.device !== device) return refuse(`result "${name}" is on another device (${x.device.name})`);
    return [name, x];
  });
}

/** What differs between two traces of one signature among the things that a capture freezes; undefined where nothing does. */
function difference(first: Trace, second: Trace): string | undefined {
  if (first.graph !== second.graph || first.names.join() !== second.names.join())
    return "the function built a different graph the second time (a JavaScript number changed between calls)";
  const cell = first.program.cells.findIndex((c, i) => c !== second.program.cells[i]);
  if (cell >= 0)
    return `the function read another tensor ${formatShape(second.program.cells[cell]!.shape)} the second time, and the first would have been frozen`;
  const constant = first.program.constants.findIndex((c, i) => c !== second.program.constants[i]);
  if (constant >= 0)
    return `the function read another constant ${formatShape(second.program.constants[constant]!.shape)} the second time, and the first would have been frozen`;
  const changed = first.program.hostLeaves.find((node, i) => !sameLeaf(node, second.program.hostLeaves[i]!));
  return changed === undefined
    ? undefined
    : `host values ${formatShape(changed.shape)} were others the second time, and the first would have been frozen`;
}

function sameLeaf({ leaf: a }: Node, { leaf: b }: Node): boolean {
  if (a?.kind === "host" && b?.kind === "host")
    return a.data === b.data || a.data.every((v, i) => Object.is(v, b.data[i]));
  return a?.kind === b?.kind && (a?.kind !== "input" || a.name === (b as { readonly name: string }).name);
}

function describe(signature: string, { planned, program, made }: Captured): CompiledInfo {
  const { arenaBytes, flops, kernels, steps } = planned;
  return {
    arenaBytes,
    flops,
    constantBytes: program.constants.reduce((sum, { data }) => sum + data.byteLength, 0),
    compileMs: made.ms,
    kernels,
    steps,
    nodes: program.nodes.length,
    signature,
    dtypes: traceDTypes(program),
  };
}

function keyOf(specs: Specs): string {
  return Object.entries(specs)
    .map(([name, s]) => `${/^\w+$/.test(name) ? name : JSON.stringify(name)}:${s.dtype}${formatShape(s.shape)}`)
    .join(" ");
}

function specOf(device: Device, name: string, x: HostTensor): { shape: readonly number[]; dtype: DType } {
  const what = `compiled input "${name}"`;
  if (typeof x !== "object" || x === null || x.data === undefined || x.shape === undefined)
    throw new DTypeError(`${what}: give { data, shape, dtype? }, got ${quote(x)}`);
  return { shape: x.shape, dtype: x.dtype ?? device.storable(what, x.data) };
}

function resultTensor(device: Device, like: Node, result: Result): Tensor {
  const leaf = device.resultLeaf(result, like);
  return new Tensor(new Node(leafPrimitive, [], {}, like.shape, like.dtype, leaf), device);
}
