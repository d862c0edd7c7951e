/** What `prepack` does before a package becomes a tarball, on a package made for it. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";

const script = join(import.meta.dirname, "../../../scripts/prepack.mjs");
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lowrank-prepack-"));
  const compilerOptions = { rootDir: "src", outDir: "dist", tsBuildInfoFile: "dist/.tsbuildinfo", types: [] };
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({ compilerOptions: { ...compilerOptions, composite: true, module: "esnext" }, include: ["src"] }),
  );
  mkdirSync(join(folder, "src"));
  writeFileSync(join(folder, "src/one.ts"), "export const one: number = 1;\n");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function prepack(agent = "pnpm/10.0.0 node/v20"): { status: number | null; said: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script], {
    cwd: folder,
    encoding: "utf8",
    env: { ...process.env, npm_config_user_agent: agent },
  });
  return { status, said: stdout + stderr };
}

const dist = (file: string): string => join(folder, "dist", file);

it("builds what was never built, and what was deleted since", () => {
  expect(prepack()).toEqual({ status: 0, said: "" });
  expect(readFileSync(dist("one.js"), "utf8")).toContain("one = 1");
  rmSync(dist("one.d.ts"));
  expect(prepack().status).toBe(0);
  expect(existsSync(dist("one.d.ts"))).toBe(true);
});

it("builds again what changed, and deletes what has no source any more", () => {
  writeFileSync(join(folder, "src/two.ts"), "export {};\n");
  prepack();
  rmSync(join(folder, "src/two.ts"));
  writeFileSync(join(folder, "src/one.ts"), "export const one: number = 11;\n");
  expect(prepack().status).toBe(0);
  expect(readFileSync(dist("one.js"), "utf8")).toContain("one = 11");
  expect([existsSync(dist("two.js")), existsSync(dist("two.d.ts"))]).toEqual([false, false]);
});

it("refuses sources that do not compile, none at all, and npm, which would leave workspace ranges", () => {
  expect(prepack("npm/11.0.0 node/v20")).toEqual({ status: 1, said: expect.stringContaining("pnpm pack") });
  writeFileSync(join(folder, "src/one.ts"), "export const one: number = 'text';\n");
  expect(prepack()).toEqual({ status: 1, said: expect.stringContaining("building failed") });
  rmSync(join(folder, "src/one.ts"));
  expect(prepack()).toEqual({ status: 1, said: expect.stringContaining("nothing to pack") });
});

it("refuses a build that is older than a source", () => {
  prepack();
  const later = new Date(Date.now() + 3_600_000);
  utimesSync(join(folder, "src/one.ts"), later, later);
  expect(prepack()).toEqual({ status: 1, said: expect.stringContaining("older than src/one.ts") });
});
