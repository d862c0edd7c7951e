/** `lowrank presets`, and the JSON Schema that the package publishes. */
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { main } from "../src/cli/main.ts";
import { studyJsonSchema } from "../src/config/json-schema.ts";
import { loadStudy } from "../src/config/load.ts";
import { applyOverrides } from "../src/config/overrides.ts";
import { PRESETS } from "../src/config/presets.ts";
import { parseYaml } from "../src/config/yaml.ts";

afterEach(() => vi.restoreAllMocks());

async function print(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const written = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const)
    vi.spyOn(process[stream], "write").mockImplementation((chunk) => {
      written[stream] += String(chunk);
      return true;
    });
  const code = await main(["presets", ...args]);
  vi.restoreAllMocks();
  return { code, ...written };
}

describe("presets", () => {
  it("are listed, and each is printed as the study that it is", async () => {
    const { code, stdout } = await print();
    expect(code).toBe(0);
    for (const name of Object.keys(PRESETS)) {
      expect(stdout).toContain(`| ${name} `);
      const printed = await print(name);
      const path = join(mkdtempSync(join(tmpdir(), "lowrank-presets-")), "study.yaml");
      writeFileSync(path, printed.stdout);
      const options = /^(sst2|wikitext2|ner|qa|split)/.test(name) ? { base: "x" } : {};
      expect(loadStudy(path, options)).toEqual(loadStudy(name, options));
      expect(JSON.parse((await print(name, "--json")).stdout)).toEqual(parseYaml(printed.stdout, name));
    }
    expect((JSON.parse((await print("--json")).stdout) as unknown[]).length).toBe(Object.keys(PRESETS).length);
  });

  it.each([
    [["sts2"], `no preset "sts2"; did you mean "sst2"?`],
    [["sst2", "--schema"], `--schema is that of every study; leave "sst2" out`],
    [["--plugin", "x.ts"], "--plugin adds to what --schema prints"],
  ])("refuses %j", async (args, message) => {
    const { code, stderr } = await print(...args);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});

describe("the schema of studies", () => {
  const file = new URL("../schema/study.schema.json", import.meta.url);

  it("is published as it is: `npm run -s lowrank -- presets --schema > packages/lab/schema/study.schema.json`", async () => {
    const text = readFileSync(file, "utf8");
    expect(text).toBe(`${JSON.stringify(studyJsonSchema(), null, 2)}\n`);
    expect((await print("--schema")).stdout).toBe(text);
    // what depends on the base is no default
    expect(text).not.toContain("(the head)");
  });

  it("takes what a study may say, and nothing else", () => {
    const schema = z.fromJSONSchema(JSON.parse(readFileSync(file, "utf8")) as never);
    for (const [name, yaml] of Object.entries(PRESETS)) {
      const study = parseYaml(yaml, name);
      expect(schema.safeParse(study).error, name).toBeUndefined();
      for (const wrong of ["train.lrr=1", "seeds=[-1]", "task.name=sts2", "train.earlyStop={patience: 0}"])
        expect(schema.safeParse(applyOverrides(study, [wrong])).success, `${name} with ${wrong}`).toBe(false);
      for (const right of ["train.lr=1", "train.earlyStop={patience: 2}", "train.keep=best", "metrics=[f1]"])
        expect(schema.safeParse(applyOverrides(study, [right])).error, `${name} with ${right}`).toBeUndefined();
    }
  });
});
