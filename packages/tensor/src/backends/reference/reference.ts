/**
 * The reference engine defines what every op means: it walks the graph, calls each primitive's f64 definition and rounds the
 * result to the node's dtype. Slow on purpose; no fusion, no plan, nothing shared with the other devices but the op records.
 */
import type { BackendInfo, MemoryInfo } from "../backend.ts";
import { threadOptions } from "../open-options.ts";
import { checkOptions } from "../../check/rules.ts";
import { bytesOf, type DType, type TypedArray } from "../../dtype.ts";
import type { Engine, ExecuteOptions, Planned, Result } from "../../engine.ts";
import type { Storage } from "../../graph/storage.ts";
import type { Node } from "../../graph/node.ts";
import type { Program } from "../../graph/program.ts";
import { floatsOf, roundTo, toMemory } from "../../memory-form.ts";
import type { NdArray } from "../../primitives/primitive.ts";
import { sizeOf } from "../../shape.ts";

interface HostStorage extends Storage {
  values: Float64Array;
}

export class ReferenceEngine implements Engine {
  readonly name = "reference";
  readonly defaultFloat: DType = "f64";
  readonly #live = new Set<HostStorage>();
  uploadedBytes = 0;

  supports(): boolean {
    return true;
  }

  ensureRoom(): void {
    /* the host says when it has no more */
  }

  allocate(dtype: DType, size: number): Storage {
    const storage: HostStorage = { bytes: size * bytesOf(dtype), values: new Float64Array(size) };
    this.#live.add(storage);
    return storage;
  }

  write(storage: Storage, dtype: DType, data: TypedArray): void {
    (storage as HostStorage).values = Float64Array.from(floatsOf(dtype, data));
    this.uploadedBytes += data.byteLength;
  }

  read(storage: Storage, dtype: DType): TypedArray {
    return toMemory(dtype, (storage as HostStorage).values.slice(), dtype === "f64" ? "f64" : undefined);
  }

  release(storage: Storage): void {
    this.#live.delete(storage as HostStorage);
  }

  plan(program: Program): Planned {
    return { program, arenaBytes: 0, flops: 0, kernels: 0, steps: program.nodes.length };
  }

  prepare(): void {
    /* there is no code to be made */
  }

  execute(
    { program }: Planned,
    values: readonly TypedArray[],
    storages: readonly Storage[],
    { ran }: ExecuteOptions,
  ): Result[] {
    const computed = new Map<Node, NdArray>();
    program.hostLeaves.forEach((node, i) =>
      computed.set(node, { shape: node.shape, data: floatsOf(node.dtype, values[i]!) }),
    );
    const storageOf = new Map(
      [...program.cells, ...program.constants].map((holder, i) => [holder, storages[i] as HostStorage]),
    );
    for (const node of program.nodes) {
      if (computed.has(node)) continue;
      const leaf = node.leaf;
      if (leaf?.kind === "cell" || leaf?.kind === "constant") {
        const holder = leaf.kind === "cell" ? leaf.cell : leaf.constant;
        computed.set(node, { shape: node.shape, data: storageOf.get(holder)!.values });
      } else {
        const data = node.primitive.reference(
          node.inputs.map((n) => computed.get(n)!),
          node.attrs,
          node.shape,
        );
        computed.set(node, {
          shape: node.shape,
          data: node.primitive.lowering.class === "view" ? data : roundTo(node.dtype, data),
        });
      }
    }
    // all reads come before any write: an assignment sees the values from before the run
    const written = program.assignments.map(({ cell, value }) => ({ cell, data: computed.get(value)!.data.slice() }));
    for (const { cell, data } of written) storageOf.get(cell)!.values = data;
    ran();
    for (const { byteLength } of values) this.uploadedBytes += byteLength;
    return program.outputs.map((node) => {
      const storage = this.allocate(node.dtype, sizeOf(node.shape)) as HostStorage;
      storage.values = computed.get(node)!.data.slice();
      return { kind: "storage", storage };
    });
  }

  memory(): MemoryInfo {
    let persistent = 0;
    for (const { bytes } of this.#live) persistent += bytes;
    return { persistent, arena: 0, scratch: 0, reserved: persistent, buffers: this.#live.size };
  }

  info(): BackendInfo {
    return { name: "reference", description: "plain f64 loops, the definition of every op", threads: 1 };
  }

  close(): void {
    this.#live.clear();
  }
}

export function openReference(options: Readonly<Record<string, unknown>>): ReferenceEngine {
  checkOptions("init", threadOptions, options);
  return new ReferenceEngine();
}
