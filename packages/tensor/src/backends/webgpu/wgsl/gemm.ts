/**
 * Matrix products as WGSL: a workgroup of 16 × 16 invocations owns a tile of the result and walks along k in steps of 16, through
 * workgroup memory; each invocation keeps `micro` × `micro` sums, 16 rows and columns apart. Terms of one step are added up before
 * they join the sum, which keeps rounding errors from growing with k.
 */
import { accumulators, indexOperands, reachable } from "../../../ir/facts.ts";
import type { GemmKernel, Product } from "../../../ir/kernel.ts";
import { printOperand, printPlace, printValue, type Scope } from "./expression.ts";
import { decode, product } from "./grid.ts";
import { WgslModule, WORKGROUP_INDEX, type WgslKernel } from "./module.ts";

const SIDE = 16;
/** Workgroups that should exist before tiles are made larger. */
const ENOUGH_GROUPS = 64;

export function printGemm(kernel: GemmKernel): WgslKernel {
  const batches = product(kernel.batch);
  const groupsFor = (micro: number): number =>
    batches * Math.ceil(kernel.m / (SIDE * micro)) * Math.ceil(kernel.n / (SIDE * micro));
  const micro = [4, 2].find((r) => groupsFor(r) >= ENOUGH_GROUPS) ?? 1;
  const module = new WgslModule(kernel.args);
  const rank = kernel.batch.length + 2;
  const operands = kernel.products.flatMap(({ a, b }, p) => [
    printOperand(module, `load_a${p}`, a, rank, "f32"),
    printOperand(module, `load_b${p}`, b, rank, "f32"),
  ]);
  return {
    code: module.print([...operands, printEpilogue(module, kernel), printMain(kernel, micro)]),
    workgroups: groupsFor(micro),
  };
}

/** `fn finish(c0: i32, …, acc0: f32, …)`: the epilogue and its stores at one place of the result. */
function printEpilogue(module: WgslModule, kernel: GemmKernel): string {
  const coords = [...kernel.batch, 0, 0].map((_, d) => `c${d}`);
  const scope: Scope = { values: new Map(), coords };
  const { epilogue, stores } = kernel;
  const live = reachable(
    epilogue,
    stores.flatMap((s) => [s.value, ...indexOperands(s.index)]),
  );
  const lines = epilogue.flatMap((instr, id) => {
    if (!live[id]) return [];
    if (instr.op !== "acc") return printValue(module, epilogue, id, scope, "v");
    scope.values.set(id, `acc${instr.index}`);
    return [];
  });
  stores.forEach((s, i) => lines.push(`let s${i} = ${printPlace(s.index, epilogue, scope)};`));
  stores.forEach((s, i) =>
    lines.push(...module.store(s.arg, `s${i}`, scope.values.get(s.value)!, epilogue[s.value]!.type)),
  );
  return `fn finish(${coords.map((c) => `${c}: i32, `).join("")}${Array.from({ length: accumulators(kernel) }, (_, a) => `acc${a}: f32`).join(", ")}) {\n${lines.map((l) => `  ${l}\n`).join("")}}\n`;
}

function printMain(kernel: GemmKernel, micro: number): string {
  const { batch, m, n } = kernel;
  const accs = Array.from({ length: accumulators(kernel) }, (_, s) => s);
  const tile = SIDE * micro;
  const [rowTiles, columnTiles] = [Math.ceil(m / tile), Math.ceil(n / tile)];
  const at = batch.map((_, d) => `c${d}, `).join("");
  const each = (visit: (i: number, j: number) => string): string =>
    Array.from({ length: micro * micro }, (_, x) => `${visit(Math.floor(x / micro), x % micro)}\n`).join("");
  const along = (visit: (i: number) => string): string =>
    Array.from({ length: micro }, (_, i) => `${visit(i)}\n`).join("");
  const loop = ({ k, acc }: Product, p: number): string => `  for (var k0 = 0; k0 < ${k}; k0 += ${SIDE}) {
${along((i) => `    { var v = 0.0f; let m = m0 + y + ${SIDE * i}; if (m < ${m} && k0 + x < ${k}) { v = load_a${p}(${at}m, k0 + x); } tile_a[(y + ${SIDE * i}) * ${SIDE + 1} + x] = v; }`)}${along((j) => `    { var v = 0.0f; let n = n0 + x + ${SIDE * j}; if (n < ${n} && k0 + y < ${k}) { v = load_b${p}(${at}k0 + y, n); } tile_b[y * ${tile + 1} + x + ${SIDE * j}] = v; }`)}    workgroupBarrier();
${each((i, j) => `    var part${i}_${j} = 0.0f;`)}    for (var kk = 0; kk < ${SIDE}; kk++) {
${along((i) => `      let a${i} = tile_a[(y + ${SIDE * i}) * ${SIDE + 1} + kk];`)}${along((j) => `      let b${j} = tile_b[kk * ${tile + 1} + x + ${SIDE * j}];`)}${each((i, j) => `      part${i}_${j} += a${i} * b${j};`)}    }
${each((i, j) => `    sum${acc}_${i}_${j} += part${i}_${j};`)}    workgroupBarrier();
  }
`;
  return `
var<workgroup> tile_a: array<f32, ${tile * (SIDE + 1)}>;
var<workgroup> tile_b: array<f32, ${SIDE * (tile + 1)}>;
@compute @workgroup_size(${SIDE}, ${SIDE})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let place = i32(${WORKGROUP_INDEX});
  if (place >= ${product(batch) * rowTiles * columnTiles}) { return; }
  let flat_batch = place / ${rowTiles * columnTiles};
  ${decode("flat_batch", batch, 0).join(" ")}
  let m0 = ((place / ${columnTiles}) % ${rowTiles}) * ${tile};
  let n0 = (place % ${columnTiles}) * ${tile};
  let x = i32(local.x);
  let y = i32(local.y);
${accs.map((s) => each((i, j) => `  var sum${s}_${i}_${j} = 0.0f;`)).join("")}${kernel.products.map(loop).join("")}${each((i, j) => `  if (m0 + y + ${SIDE * i} < ${m} && n0 + x + ${SIDE * j} < ${n}) { finish(${at}m0 + y + ${SIDE * i}, n0 + x + ${SIDE * j}, ${accs.map((s) => `sum${s}_${i}_${j}`).join(", ")}); }`)}}
`;
}
