// Shared by the JavaScript side of the interoperability checks: finds lowrank's packages in a project folder, runs models, writes tensors.
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

export async function open(project) {
  const pkg = (name, file = "index.js") => import(pathToFileURL(resolve(project, "packages", name, "dist", file)).href);
  const [tensor, nn, models, peft, quant] = await Promise.all(
    ["tensor", "nn", "models", "peft", "quant"].map((n) => pkg(n)),
  );
  return { tensor, nn, models, peft, quant, pkg };
}

export const TOLERANCE = 2e-5;

export function reporter(out) {
  const path = join(out, "results.jsonl");
  return (id, status, figure = "", note = "") => {
    appendFileSync(path, `${JSON.stringify({ id, status, figure, note })}\n`);
    console.log(`${status} ${id} ${figure}${note === "" ? "" : ` | ${note}`}`);
  };
}

export const short = (text, n = 220) => String(text).replace(/\s+/g, " ").slice(0, n);

/** One line per check. An error of ours that somebody can act on is a refusal; a bug of ours, or an error that is not ours, is a failure. */
export async function guarded(report, id, body) {
  try {
    await body();
  } catch (error) {
    const refused = ["input", "state", "environment"].includes(error?.kind);
    report(id, refused ? "REFUSED" : "FAIL", `${error?.code ?? error?.name}`, short(error?.message ?? error));
  }
}

export async function readTensors(lr, path) {
  const source = await lr.tensor.openFile(path);
  const file = await lr.tensor.SafetensorsFile.open(source);
  const out = new Map();
  for (const name of file.names) out.set(name, await file.read(name));
  await source.close?.();
  return out;
}

export function writeTensors(lr, path, tensors) {
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, lr.tensor.serialize(new Map(Object.entries(tensors))));
}

export const readJson = (path) => JSON.parse(readFileSync(path, "utf8"));

export async function loadModel(lr, folder, device, options = {}) {
  const config = readJson(join(folder, "config.json"));
  return lr.models.fromPretrained(folder, lr.models.architectureOf(lr.models.architectureFor(config)), {
    device,
    ...options,
  });
}

/** ids, mask, types and labels of a model's inputs file, by lowrank's names. */
export async function inputsOf(lr, folder, device) {
  const stored = await readTensors(lr, join(folder, "inputs.safetensors"));
  const names = {
    input_ids: "inputIds",
    attention_mask: "attentionMask",
    token_type_ids: "tokenTypeIds",
    labels: "labels",
    start_positions: "startPositions",
    end_positions: "endPositions",
  };
  const inputs = {};
  for (const [name, { data, shape, dtype }] of stored)
    if (names[name]) inputs[names[name]] = device.tensor(data, shape, dtype === "f32" ? "f32" : "i32");
  return inputs;
}

const LABELS = ["labels", "startPositions", "endPositions"];
export const plain = (inputs) => Object.fromEntries(Object.entries(inputs).filter(([n]) => !LABELS.includes(n)));

export async function logitsOf(model, inputs) {
  model.eval();
  const out = model.forward(plain(inputs));
  const parts = out.startLogits === undefined ? [out.logits ?? out.lastHiddenState] : [out.startLogits, out.endLogits];
  const arrays = [];
  for (const p of parts) arrays.push(...(await p.floats()));
  return { dtype: "f32", shape: [arrays.length], data: Float32Array.from(arrays) };
}

export function compare(a, b) {
  let [worst, scale] = [0, 0];
  if (a.length !== b.length) return { worst: Infinity, scale: 1, relative: Infinity };
  for (let i = 0; i < a.length; i++) {
    const d = Math.abs(a[i] - b[i]);
    worst = Number.isNaN(d) ? Infinity : Math.max(worst, d);
    scale = Math.max(scale, Math.abs(b[i]));
  }
  return { worst, scale, relative: worst / scale };
}

export const figure = ({ worst, scale, relative }) =>
  `max|d|=${worst.toExponential(2)} rel=${relative.toExponential(2)} scale=${scale.toPrecision(3)}`;

/** A few AdamW steps, each one its own graph. Returns losses. */
export async function trainSteps(lr, model, inputs, device, { steps = 6, rate = 1e-2, allocator, groups } = {}) {
  const { grad, ops } = lr.tensor;
  model.train(new lr.nn.Rngs(device, 13));
  const optimizer = new lr.nn.AdamW(groups?.(rate) ?? model.trainableWeights(), { lr: rate });
  const losses = [];
  for (let i = 0; i < steps; i++) {
    const { loss } = model.forward(inputs);
    const extra = allocator?.regularizer();
    const objective = extra === undefined ? loss : ops.add(loss, extra);
    const grads = grad(objective, optimizer.parameters);
    optimizer.step(grads);
    const byWeight = new Map(optimizer.weights.map((w, k) => [w, grads[k]]));
    const report = allocator?.afterStep({ raw: byWeight, clipped: byWeight });
    await device.realize(loss, ...(report === undefined ? [] : [report]));
    if (report !== undefined) allocator.check(await report.floats());
    losses.push(await loss.item());
  }
  model.eval();
  return losses;
}

export { existsSync, join, mkdirSync, resolve, writeFileSync };
