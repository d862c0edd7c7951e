import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { metrics } from "../src/metrics/registry.ts";
import { loadPlugins } from "../src/plugins/load.ts";
import type { Sink } from "../src/records/sink.ts";
import { codeVersion } from "../src/store/identity.ts";
import { openSinks } from "../src/train/sinks.ts";

function file(name: string, content: string): string {
  const path = join(mkdtempSync(join(tmpdir(), "lowrank-plugin-")), name);
  writeFileSync(path, content);
  return path;
}
const metric = (name: string): string =>
  `{ name: "${name}", label: "${name}", items: "labels", better: "higher", unit: "number", update: () => 0, value: () => 0 }`;

describe("a plugin", () => {
  it("adds what it brings, and its content makes other runs", async () => {
    const path = file("mine.mjs", `export default { metrics: [${metric("mine")}] };`);
    const content = await loadPlugins([path]);
    expect(metrics.get("mine").label).toBe("mine");
    expect(codeVersion(content)).not.toBe(codeVersion());
    expect(codeVersion(await loadPlugins([path]))).toBe(codeVersion(content));
    const other = await loadPlugins([file("mine.mjs", `export default { metrics: [${metric("mine2")}] };`)]);
    expect(codeVersion(other)).not.toBe(codeVersion(content));
    expect(await loadPlugins([])).toBeUndefined();
  });

  it.each([
    ["export default 1;", "has no default export with tasks, rowTasks, metrics, methods, allocators, sinks, executors"],
    ["export const tasks = [];", "has no default export"],
    ["export default { taks: [] };", `its default export has "taks"; did you mean "tasks"?`],
    ["export default { metrics: 3 };", `"metrics" must be a list of records`],
    [`export default { metrics: [${metric("f1")}] };`, `there is a metric "f1" already`],
    [`export default { metrics: [${metric("F 1")}] };`, "a metric needs a name of lower-case letters"],
    ["export default { metrics: [null] };", "a metric needs a name of lower-case letters"],
    ["throw new Error('broken\\nfor two lines');", "broken"],
  ])("%s is refused in one line", async (content, message) => {
    const path = file("bad.mjs", content);
    const error = await loadPlugins([path]).catch((e: Error) => e);
    expect(error).toMatchObject({ name: "InputError" });
    const line = (error as Error).message;
    expect(line.startsWith(`--plugin ${path}: `)).toBe(true);
    expect(line).toContain(message);
    expect(line).not.toContain("\n");
  });

  it("that is not there is said so", async () => {
    await expect(loadPlugins([join(tmpdir(), "no-such-plugin.mjs")])).rejects.toThrow(/no such file: .*no-such-plugin/);
  });
});

describe("sinks", () => {
  const recording = (log: string[], fails?: keyof Sink): Sink => ({
    start: () => void log.push("start"),
    scalar(step) {
      if (fails === "scalar") throw new Error("server down");
      log.push(`scalar ${step}`);
    },
    artifact: (name) => void log.push(name),
    finish: (outcome) => void log.push(outcome),
  });

  it("that were asked for are left out once they throw, and the others go on", async () => {
    const [own, good, bad, said]: string[][] = [[], [], [], []];
    const sinks = openSinks(
      {
        local: [{ name: "own", open: () => recording(own!) }],
        others: [
          { name: "bad", open: () => recording(bad!, "scalar") },
          {
            name: "worse",
            open() {
              throw new Error("no address");
            },
          },
          { name: "good", open: () => recording(good!) },
        ],
      },
      { folder: "", out: "", say: (line) => void said!.push(line) },
    );
    sinks.start({} as never);
    for (const step of [1, 2]) sinks.scalar(step, {});
    sinks.artifact("a", "");
    await sinks.finish("finished");
    expect(own).toEqual(["start", "scalar 1", "scalar 2", "a", "finished"]);
    expect(good).toEqual(own);
    expect(bad).toEqual(["start"]);
    expect(said).toEqual([
      "sink worse: no address; the run goes on without it",
      "sink bad: server down; the run goes on without it",
    ]);
  });

  it("that write the run's own files do fail it", () => {
    const sinks = openSinks(
      { local: [{ name: "own", open: () => recording([], "scalar") }], others: [] },
      { folder: "", out: "", say: () => {} },
    );
    expect(() => sinks.scalar(1, {})).toThrow("server down");
  });
});
