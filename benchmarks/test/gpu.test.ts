/** `bench:gpu` in its small form on a software GPU, and what it does when things go wrong there. */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { swiftShaderAvailable } from "../../packages/tensor/test/support/swiftshader.ts";
import type { SectionResult } from "../gpu/row.ts";
import { line, partOfPeak, peakOf } from "../gpu/table.ts";

interface Written {
  readonly card: { readonly software: boolean };
  readonly small: boolean;
  readonly wrong: readonly string[];
  readonly sections: readonly SectionResult[];
}

let folder: string;
let missing: string | undefined;

beforeAll(async () => {
  missing = await swiftShaderAvailable();
  // beside the packages, so that the bundle finds `webgpu`
  folder = mkdtempSync(fileURLToPath(new URL("../node_modules/.gpu-test-", import.meta.url)));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** One file, as it is taken to another machine. @param broken texts of source files that are replaced first */
async function bundle(
  name: string,
  ...broken: readonly (readonly [file: string, from: string, to: string])[]
): Promise<string> {
  const breaking: Plugin = {
    name: "breaking",
    setup({ onLoad }) {
      onLoad({ filter: /benchmarks\/gpu\/\w+\.ts$/ }, ({ path }) => {
        let contents = readFileSync(path, "utf8");
        for (const [file, from, to] of broken.filter(([end]) => path.endsWith(end))) {
          expect(contents, `${file} has no ${from} to break`).toContain(from);
          contents = contents.replace(from, to);
        }
        return { contents, loader: "ts" };
      });
    },
  };
  const outfile = join(folder, `${name}.mjs`);
  await build({
    entryPoints: [fileURLToPath(new URL("../gpu/gpu.ts", import.meta.url))],
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    conditions: ["@lowrank/source"],
    external: ["webgpu"],
    plugins: broken.length === 0 ? [] : [breaking],
    logLevel: "error",
  });
  return outfile;
}

function run(
  program: string,
  args: readonly string[],
  env: Record<string, string> = {},
): { status: number | null; stdout: string } {
  return spawnSync(process.execPath, [program, ...args], { encoding: "utf8", env: { ...environment(), ...env } });
}

/** The loader lies beside the driver. */
function environment(): NodeJS.ProcessEnv {
  const driver = dirname(process.env["VK_DRIVER_FILES"] ?? "");
  return { ...process.env, LD_LIBRARY_PATH: [driver, process.env["LD_LIBRARY_PATH"] ?? ""].join(":") };
}

describe("bench:gpu on a software device", () => {
  it("says so, does everything small, and finds nothing wrong", async ({ skip }) => {
    if (missing !== undefined) return skip(missing);
    const out = join(folder, "gpu.json");
    const { status, stdout } = run(await bundle("gpu"), ["--out", out]);
    expect(stdout).toContain("This is a software device: everything is done small");
    const { card, small, wrong, sections } = JSON.parse(readFileSync(out, "utf8")) as Written;
    expect({ software: card.software, small, wrong, status }).toEqual({
      software: true,
      small: true,
      wrong: [],
      status: 0,
    });
    expect(sections.map(({ name, state }) => `${name} ${state}`)).toEqual(
      ["adapter", "roofline", "ops", "trajectory", "transfer", "products", "step"].map((name) => `${name} done`),
    );
    const row = (section: string, name: string) =>
      sections.find((s) => s.name === section)!.rows.find((r) => r.name === name)!;
    expect(row("adapter", "adapter").detail).toHaveProperty("limits.maxBufferSize");
    expect(row("roofline", "peak/fma").value).toBeGreaterThan(0);
    // every twelfth of the ops that there are
    const checked = row("ops", "ops, 1 of each kind").detail as { looked: number; of: number };
    expect(checked).toMatchObject({ failed: 0, of: checked.looked });
    expect(checked.looked).toBeGreaterThan(5);
    // equal ones would mean that the device was compared with itself
    expect(row("trajectory", "webgpu beside reference").value).toBeGreaterThan(0);
    expect(row("step", "step/two-layers").ms).toBeGreaterThan(0);
  });

  it("goes on after wrong numbers, lists them, and ends with 1", async ({ skip }) => {
    if (missing !== undefined) return skip(missing);
    const program = await bundle("wrong", ["trajectory.ts", "const TOLERANCE = 1e-4", "const TOLERANCE = -1"]);
    const { status, stdout } = run(program, ["--only", "trajectory,transfer"]);
    expect(stdout).toMatch(/transfer: .*\n(.*\n)+ {2}done/);
    expect(stdout).toMatch(/2 WRONG; .*\n {2}trajectory: webgpu beside wasm: losses are .* apart, from step 1 on/);
    expect(status).toBe(1);
  });

  it("goes on after sections that hang and that crash", async ({ skip }) => {
    if (missing !== undefined) return skip(missing);
    const program = await bundle(
      "ends",
      [
        "sections.ts",
        "seconds: 12, small: true, run: describeAdapter",
        "seconds: 1, small: true, run: () => { for (;;); }",
      ],
      ["sections.ts", "run: measureRoofline", 'run: () => process.kill(process.pid, "SIGSEGV")'],
    );
    const { status, stdout } = run(program, ["--only", "adapter,roofline,transfer"]);
    expect(stdout).toContain("CUT in 3");
    expect(stdout).toMatch(/FAILED in .*its process ended with SIGSEGV/);
    expect(stdout).toMatch(/readback\/4KiB/);
    expect(status).toBe(1);
  });

  it("stops its sections with itself, and keeps what they found", async ({ skip }) => {
    if (missing !== undefined) return skip(missing);
    const program = await bundle("stopped", [
      "adapter.ts",
      "  const driver = nvidiaSmi();",
      "  await new Promise(() => setInterval(() => process.stdout.write(`alive ${process.pid}\\n`), 50));\n  const driver = nvidiaSmi();",
    ]);
    const out = join(folder, "stopped.json");
    const child = spawn(process.execPath, [program, "--out", out], { env: environment() });
    let stdout = "";
    let section: number | undefined;
    child.stdout.on("data", (chunk: Buffer) => {
      stdout += chunk.toString();
      section ??= Number(/alive (\d+)\n/.exec(stdout)?.[1]) || undefined;
      if (section !== undefined) child.kill("SIGTERM");
    });
    const status = await new Promise((done) => child.on("close", done));
    expect(status).toBe(130);
    expect(() => process.kill(section!, 0)).toThrow(/ESRCH/);
    const { sections } = JSON.parse(readFileSync(out, "utf8")) as Written;
    expect(sections.map(({ name, rows }) => `${name} ${rows.map((r) => r.name).join(" ")}`)).toEqual([
      "adapter adapter features limits",
    ]);
  });

  it("begins nothing where a GPU is required, or where there is no adapter", async ({ skip }) => {
    if (missing !== undefined) return skip(missing);
    const program = await bundle("none");
    const software = run(program, ["--require-gpu"]);
    expect(software.stdout).toContain("this adapter computes on the CPU, and a GPU is required");
    const none = { VK_DRIVER_FILES: "/nowhere.json", VK_ICD_FILENAMES: "/nowhere.json" };
    const nothing = run(program, [], none);
    expect(nothing.stdout).toMatch(/no adapter.*VK_DRIVER_FILES/s);
    expect([software.status, nothing.status]).toEqual([1, 1]);
  });
});

describe("the card's peak", () => {
  const peak = peakOf("NVIDIA H100 80GB HBM3", false, [])!;

  it("is that of whichever takes longer there", () => {
    // 60 TFLOP/s and 3 TB/s: 1 ms of arithmetic, 2 ms of memory, done in 4 ms
    expect(partOfPeak({ name: "x", ms: 4, flops: 60e9, bytes: 6e9 }, peak)).toEqual({ part: 0.5, of: "bytes" });
    expect(partOfPeak({ name: "x", ms: 4, flops: 120e9, bytes: 3e9 }, peak)).toEqual({ part: 0.5, of: "flops" });
    expect(line({ name: "x", ms: 4, flops: 120e9 }, peak)).toContain("50.0 % of flops");
  });

  it("is measured where the card is not known, and nothing where there is no card", () => {
    const rows = [
      { name: "peak/fma", value: 2 },
      { name: "peak/copy", value: 500 },
    ];
    const measured: readonly SectionResult[] = [{ name: "roofline", state: "done", seconds: 1, rows }];
    expect(peakOf("some card", false, measured)).toMatchObject({ flops: 2e12, bytes: 500e9 });
    expect(peakOf("some card", false, [])).toBeUndefined();
    expect(peakOf("SwiftShader", true, measured)).toBeUndefined();
  });
});
