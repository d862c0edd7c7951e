/** PyTorch beside the engine, where a Python with it is found: the same products and the same steps. Everything is whole without. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { productName, productsOf } from "./products.ts";
import type { Context, Row } from "./row.ts";
import { shapeName, type StepShape } from "../src/bert.ts";
import { BASE_STEP, NARROW_STEP } from "./steps.ts";

/**
 * Reading PyTorch from a disk that has never been asked for it takes longer than all its work here: begun while other sections run.
 * Returns what ends it.
 */
export function warmTorch(python: string): () => void {
  const child = spawn(python, ["-c", "import torch, transformers, peft"], { stdio: "ignore" });
  child.on("error", () => undefined);
  child.unref();
  return () => child.kill();
}

/** Beside this file, or, where that was bundled, in the folder that the program was started in. */
const PLACES = [fileURLToPath(new URL("peer.py", import.meta.url)), "benchmarks/gpu/peer.py"];

/** Exit code of peer.py where there is no PyTorch that sees the device. */
const NO_TORCH = 3;

export async function timeTorch(context: Context, python: string, device: "cuda" | "cpu"): Promise<void> {
  const { small, report, cut } = context;
  const script = PLACES.find((place) => existsSync(place));
  if (script === undefined) return cut(`there is no ${PLACES.join(" or ")}`);
  const shapes: readonly StepShape[] = small
    ? [{ layers: 1, hidden: 64, batch: 2, length: 8 }]
    : [NARROW_STEP, BASE_STEP];
  const spec = {
    device,
    products: productsOf(small).map((product) => ({ name: productName(product), ...product })),
    steps: shapes.map((shape) => ({ name: `step/${shapeName(shape)}`, ...shape })),
  };
  const child = spawn(python, [script, JSON.stringify(spec)], {
    stdio: ["ignore", "pipe", "pipe"],
    // hubs are not asked: weights are random
    env: { ...process.env, HF_HUB_OFFLINE: "1", TRANSFORMERS_VERBOSITY: "error" },
  });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => (said = (said + chunk.toString()).slice(-2000)));
  createInterface(child.stdout).on("line", (line) => {
    report(JSON.parse(line) as Row);
  });
  const code = await new Promise<number | string>((done) => {
    child.on("error", (error) => {
      done(error.message);
    });
    child.on("close", (status, signal) => {
      done(status ?? signal ?? "no status");
    });
  });
  if (code === NO_TORCH) return report({ name: "none", note: `${python} has no PyTorch with ${device}` });
  if (typeof code === "string" && /ENOENT/.test(code)) return report({ name: "none", note: `there is no ${python}` });
  if (code !== 0) throw new Error(`${python} ended with ${code}: ${said.trim().split("\n").at(-1) ?? ""}`);
}
