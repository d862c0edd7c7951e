/** The README's example runs as it stands. */
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const root = join(import.meta.dirname, "../../..");

it("trains the model of the README", () => {
  const code = /```ts\n([\s\S]*?)```/.exec(readFileSync(join(root, "README.md"), "utf8"))?.[1];
  expect(code).toBeDefined();
  // inside the package, where the workspace's names resolve
  const file = join(import.meta.dirname, `.readme-${process.pid}.mts`);
  writeFileSync(file, code!);
  try {
    const lines = execFileSync(process.execPath, ["--import", "tsx", "--conditions", "@lowrank/source", file], {
      encoding: "utf8",
      cwd: root,
    })
      .trim()
      .split("\n");
    expect(lines[0]).toMatch(/^\d+ of \d+ parameters train$/);
    const losses = lines.slice(1).map(Number);
    expect(losses).toHaveLength(10);
    expect(losses.at(-1)).toBeLessThan(losses[0]!);
  } finally {
    rmSync(file, { force: true });
  }
});
