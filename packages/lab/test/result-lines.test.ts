import { createHash } from "node:crypto";
import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { InputError } from "../src/errors.ts";
import { readFinished } from "../src/store/finished-run.ts";
import { KeptResults } from "../src/store/kept-results.ts";
import { lineOfRun } from "../src/store/line-of-run.ts";
import type { FinishedRun } from "../src/store/measures.ts";
import { packed } from "../src/store/packed-json.ts";
import {
  finishedOf,
  readResultLine,
  writeResultLine,
  type DivergedLine,
  type FinishedLine,
  type ResultLine,
} from "../src/store/result-line.ts";
import { addLines, readResultLines } from "../src/store/result-lines.ts";
import { RunStore } from "../src/store/run-store.ts";
import { unpacked } from "../src/store/unpacked-json.ts";
import { findIn } from "../src/study/found.ts";
import { writeSyntheticRun } from "./synthetic-store.ts";

const out = mkdtempSync(join(tmpdir(), "lowrank-lines-"));
afterAll(() => rmSync(out, { recursive: true, force: true }));

function finished(folder: string, name: string): FinishedRun {
  const done = readFinished(join(folder, "runs", name), name);
  if (done === undefined) throw new Error(`${name} is not finished`);
  return done;
}

function syntheticLine(config: string, seed: number): { line: FinishedLine; done: FinishedRun; folder: string } {
  const name = writeSyntheticRun(out, { config, seed, digests: true, items: 872, layers: 6 });
  const folder = join(out, "runs", name);
  const done = finished(out, name);
  return { line: lineOfRun(folder, done), done, folder };
}

/** The line with another content, and the digest that fits it. */
function resigned(line: string, change: (body: string) => string): string {
  const body = change(line.replace(/,"sum":"[0-9a-f]{16}"}$/, "}"));
  return `${body.slice(0, -1)},"sum":"${createHash("sha256").update(body).digest("hex").slice(0, 16)}"}`;
}

const json = fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as unknown);
/** Of the kinds of lists that are packed. */
const lists = fc.oneof(
  fc.array(fc.boolean(), { maxLength: 9 }),
  fc.array(fc.array(fc.boolean(), { minLength: 3, maxLength: 6 }), { maxLength: 5 }),
  fc.array(fc.integer({ min: -1, max: 36 }), { maxLength: 9 }),
  fc.array(fc.array(fc.integer({ min: 0, max: 35 }), { minLength: 3, maxLength: 6 }), { maxLength: 5 }),
  fc.array(fc.constantFrom("a", "b"), { maxLength: 9 }),
  fc
    .tuple(fc.oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true })), fc.nat(9))
    .map(([first, length]) => Array.from({ length }, (_, i) => first + i)),
  fc.array(fc.constantFrom(1, 0.5, null, true, "x"), { maxLength: 9 }),
  fc.array(fc.record({ module: fc.constantFrom("a", "b", "c"), $rank: json, kept: fc.array(fc.boolean()) }), {
    maxLength: 6,
  }),
);
const key = fc.oneof(fc.string(), fc.constantFrom("$table", "$as", "$bits", "__proto__", "1", "0"));
const tree = fc.letrec((tie) => ({
  value: fc.oneof({ depthSize: "small" }, json, lists, tie("map"), tie("list")),
  list: fc.array(tie("value"), { maxLength: 5 }),
  map: fc.dictionary(key, tie("value"), { maxKeys: 5 }),
})).value;

describe("packed JSON", () => {
  it("comes back exactly, keys in their order", () => {
    fc.assert(
      fc.property(tree, (value) => {
        const before = JSON.stringify(value);
        const through: unknown = JSON.parse(JSON.stringify(packed(JSON.parse(before))));
        expect(JSON.stringify(unpacked(through))).toBe(before);
      }),
      { numRuns: 2000 },
    );
  });

  it("names what repeats once", () => {
    const names = ["query", "key", "value", "dense"];
    const rows = names.map((module) => ({ module, rank: 8, mask: [true, true, false, true] }));
    expect(packed({ rows, found: names, digits: [0, 1, 1, 35], index: [8, 9, 10, 11] })).toEqual({
      rows: { $table: { module: names, rank: { $digits: "8888" }, mask: { $bits: ["1101", "1101", "1101", "1101"] } } },
      found: { $as: 0 },
      digits: { $digits: "011z" },
      index: { $range: [8, 4] },
    });
  });

  it("refuses what it does not make", () => {
    expect(() => unpacked({ $list: [] })).toThrow(InputError);
    expect(() => unpacked({ $as: 3 })).toThrow(InputError);
  });
});

describe("a result line", () => {
  const { line, done, folder } = syntheticLine("b-ada", 13);
  const text = writeResultLine(line);

  it("is what the run's folder says, and comes back so", () => {
    expect(text).not.toContain("\n");
    const back = readResultLine(text, "a:1") as FinishedLine;
    expect(finishedOf(back)).toEqual(done);
    expect(back).toEqual(line);
    expect(writeResultLine(back)).toBe(text);
    // byte for byte what the run wrote
    expect(`${JSON.stringify(back.result, null, 2)}\n`).toBe(readFileSync(join(folder, "result.json"), "utf8"));
  });

  it("of a correlation with a constant, which is no number, comes back as the folder tells it", () => {
    const rankRecovery = { rule: "kept", spearman: Number.NaN, modules: [] };
    const back = readResultLine(writeResultLine({ ...line, result: { ...line.result, rankRecovery } }), "a:1");
    expect(finishedOf(back as FinishedLine).rankRecovery).toEqual(rankRecovery);
  });

  it("keeps the evaluation before the first step, of a run that has one", () => {
    expect(finishedOf(line)).not.toHaveProperty("start");
    const start = { ...line.result.final, step: 0, epoch: 0, loss: 3.25 };
    const back = readResultLine(writeResultLine({ ...line, result: { ...line.result, start } }), "a:1");
    expect(finishedOf(back as FinishedLine).start).toEqual(start);
  });

  it("has the decision on every item, the loss on the way and ranks over time", () => {
    const items = readFileSync(join(folder, "predictions.jsonl"), "utf8").trimEnd().split("\n");
    expect(line.decisions?.predicted).toEqual(
      items.map((item) => (JSON.parse(item) as { prediction: number }).prediction),
    );
    expect(line.decisions?.labels).toEqual(items.map((item) => (JSON.parse(item) as { label: number }).label));
    expect(line.losses.length).toBeLessThanOrEqual(60);
    expect(line.losses.at(-1)?.step).toBe(200);
    expect(line.ranks?.steps.at(-1)?.ranks.length).toBe(line.ranks?.modules.length);
  });

  it("round-trips whatever a run says", () => {
    const label = fc.integer({ min: 0, max: 40 });
    fc.assert(
      fc.property(
        fc.record({
          seed: fc.nat(),
          commit: fc.option(fc.stringMatching(/^[0-9a-f]{40}$/)),
          loss: fc.double({ noNaN: true, noDefaultInfinity: true }),
          decisions: fc.array(fc.tuple(label, label), { maxLength: 30 }),
          detail: fc.dictionary(fc.string(), json),
          spearman: fc.constantFrom(null as never, 0.5),
          losses: fc.array(fc.record({ step: fc.nat(), loss: fc.double({ noNaN: true, noDefaultInfinity: true }) })),
        }),
        ({ seed, commit, loss, decisions, detail, spearman, losses }) => {
          const said: FinishedLine = {
            ...line,
            commit,
            losses: losses.map(({ step, loss: of }) => ({ step, loss: of + 0 })),
            decisions: { predicted: decisions.map(([p]) => p), labels: decisions.map(([, l]) => l) },
            result: {
              ...line.result,
              seed,
              final: { ...line.result.final, loss: loss + 0 },
              rankRecovery: { rule: "kept", spearman, modules: [] },
              proofs: [
                { name: "p", holds: true, detail: JSON.parse(JSON.stringify(detail)) as Record<string, unknown> },
              ],
            },
          };
          const written = writeResultLine(said);
          const back = readResultLine(written, "a:1");
          expect(back).toEqual(said);
          expect(writeResultLine(back)).toBe(written);
        },
      ),
    );
  });

  it("of a run that diverged says where", () => {
    const { id, cell, name, config, method, task, seed, device } = line.result;
    const { study, code, commit, resolved, environment, losses } = line;
    const run = { id, cell, name, config, method, task, seed, device };
    const diverged: DivergedLine = {
      outcome: "diverged",
      study,
      code,
      commit,
      resolved,
      environment,
      losses,
      run,
      message: "step 3: mul made a NaN",
    };
    expect(readResultLine(writeResultLine(diverged), "a:1")).toEqual(diverged);
  });

  it("is refused by one line where a byte of it is another", () => {
    fc.assert(
      fc.property(fc.nat({ max: text.length - 1 }), fc.constantFrom("0", "9", "a", '"', "}"), (at, letter) => {
        fc.pre(text[at] !== letter);
        const changed = text.slice(0, at) + letter + text.slice(at + 1);
        expect(() => readResultLine(changed, "results/s.jsonl:7")).toThrow(/^results\/s\.jsonl:7: [^\n]+$/);
      }),
    );
    for (const foreign of ["", "{}", "null", text.slice(0, -1), text.slice(1), '{"a":1,"sum":"0000000000000000"}'])
      expect(() => readResultLine(foreign, "s.jsonl:1")).toThrow(InputError);
  });

  it.each([
    '{"$runs":[1,1000000000]}',
    '{"$range":[0,1000000000]}',
    '[{"$runs":[1,100000]},{"$runs":[1,4100000]}]',
    '{"$runs":[1,1.5]}',
    '{"$runs":[1,-1]}',
    '{"$runs":[1]}',
    '{"$runs":7}',
    '{"$digits":7}',
    '{"$digits":"8_"}',
    '{"$digits":["88",7]}',
    '{"$bits":null}',
    '{"$bits":"012"}',
    '{"$range":[0]}',
    '{"$range":["a",4]}',
    '{"$table":{}}',
    '{"$table":null}',
    '{"$table":{"a":7}}',
    '{"$table":{"a":[1,2],"b":[1]}}',
    '{"$as":"length"}',
    '{"$pairs":[7]}',
    '{"$pairs":{"a":1}}',
    '{"$bits":"01","rest":1}',
  ])("is refused by one line where it is packed as %s, whatever its digest", (malformed) => {
    const line = resigned(text, (body) => body.replace('{"format":1', `{"packed":${malformed},"format":1`));
    expect(() => readResultLine(line, "s.jsonl:3")).toThrow(InputError);
    expect(() => readResultLine(line, "s.jsonl:3")).toThrow(/^s\.jsonl:3: \$\w+ [^\n]+; delete the line, [^\n]+$/);
  });

  it.each([
    ["final", "f1"],
    ["best", "accuracy"],
    ["final", "loss"],
    ["start", "f1"],
  ] as const)("is refused where the %s evaluation has a word as its %s", (at, name) => {
    const evaluation = { ...line.result[at === "start" ? "final" : at], [name]: "0.9" };
    const said = writeResultLine({ ...line, result: { ...line.result, [at]: evaluation } });
    expect(() => readResultLine(said, "s.jsonl:3")).toThrow(InputError);
    expect(() => readResultLine(said, "s.jsonl:3")).toThrow(
      new RegExp(`^s\\.jsonl:3: "result\\.${at}\\.${name}" is "0\\.9"; expected number, received string$`),
    );
  });

  it("has null for a metric that had nothing to count", () => {
    const final = { ...line.result.final, f1: null };
    const back = readResultLine(writeResultLine({ ...line, result: { ...line.result, final } }), "a:1");
    expect(finishedOf(back as FinishedLine).final).toEqual(final);
  });

  it("weighs what a study of 300 runs can afford", () => {
    expect(text.length).toBeLessThan(10_000);
    expect(writeResultLine(syntheticLine("b-fp", 13).line).length).toBeLessThan(10_000);
  });
});

describe("a folder of lines", () => {
  const lines = [1, 2, 3].map((seed) => syntheticLine("b-fp", seed).line);
  const fresh = (): string => mkdtempSync(join(out, "results-"));
  const seedsIn = (folder: string): number[] =>
    readResultLines(folder).map(({ line }) => (line as FinishedLine).result.seed);
  const file = `${lines[0]!.study}.jsonl`;

  it("has each run once, whoever adds it", async () => {
    const folder = fresh();
    await Promise.all(lines.map((line) => addLines(folder, [line, ...lines])));
    expect(readFileSync(join(folder, file), "utf8").trimEnd().split("\n").length).toBe(3);
    expect(seedsIn(folder).sort((a, b) => a - b)).toEqual([1, 2, 3]);
    expect(await addLines(folder, lines)).toEqual([]);
  });

  it("is mended where a process was killed while it wrote", async () => {
    const [first, second] = lines.map((line) => Buffer.byteLength(writeResultLine(line)) + 1) as [number, number];
    for (const cut of [first + 1, first + 40, first + second - 2, first + second - 1]) {
      const folder = fresh();
      await addLines(folder, lines.slice(0, 2));
      truncateSync(join(folder, file), cut);
      const whole = cut === first + second - 1;
      expect(seedsIn(folder)).toEqual(whole ? [1, 2] : [1]);
      await addLines(folder, lines);
      expect(seedsIn(folder)).toEqual([1, 2, 3]);
      const text = readFileSync(join(folder, file), "utf8");
      expect(text.split("\n").length).toBe(4);
      expect(statSync(join(folder, file)).size).toBe(text.length);
    }
  });

  it("names file and line of what is damaged, and writes nothing more to it", async () => {
    const folder = fresh();
    await addLines(folder, lines);
    const path = join(folder, file);
    const text = readFileSync(path, "utf8");
    const at = text.indexOf('"accuracy":', text.indexOf("\n")) + 13;
    writeFileSync(path, `${text.slice(0, at)}${text[at] === "9" ? 8 : 9}${text.slice(at + 1)}`);
    const expected = new RegExp(`^${path}:2: is not what was written`);
    expect(() => readResultLines(folder)).toThrow(expected);
    await expect(addLines(folder, [syntheticLine("b-fp", 4).line])).rejects.toThrow(expected);
  });

  it.each([
    ["changed", (text: string) => text.replace('"accuracy":0.', '"accuracy":1.')],
    ["followed by something", (text: string) => `${text}x`],
  ])("names a last line that is %s, though its end of line is missing, and cuts nothing off", async (_, changed) => {
    const folder = fresh();
    await addLines(folder, lines.slice(0, 2));
    const path = join(folder, file);
    const [first, second] = readFileSync(path, "utf8").trimEnd().split("\n") as [string, string];
    const text = `${first}\n${changed(second)}`;
    expect(text).not.toBe(`${first}\n${second}`);
    writeFileSync(path, text);
    const expected = new RegExp(`^${path}:2: is (not what was written|no line of results)`);
    expect(() => readResultLines(folder)).toThrow(expected);
    await expect(addLines(folder, lines)).rejects.toThrow(expected);
    expect(readFileSync(path, "utf8")).toBe(text);
  });

  it("takes what was merged from two branches, and refuses two answers", async () => {
    const folder = fresh();
    await addLines(folder, lines);
    const copy = writeResultLine({ ...lines[0]!, study: "other", measured: { ...lines[0]!.measured, host: {} } });
    writeFileSync(join(folder, "z.jsonl"), `${copy}\r\n\n`);
    expect(seedsIn(folder)).toEqual([1, 2, 3]);
    const { result } = lines[0]!;
    const otherwise: ResultLine = { ...lines[0]!, result: { ...result, final: { ...result.final, loss: 7 } } };
    appendFileSync(join(folder, "z.jsonl"), `${writeResultLine(otherwise)}\n`);
    expect(() => readResultLines(folder)).toThrow(/z\.jsonl:3: says of b-fp-s1-\w+ what .*:1 does not/);
  });

  it("reads and adds to a file through a link, and names a link that leads nowhere", async () => {
    const [folder, elsewhere] = [fresh(), fresh()];
    await addLines(folder, lines.slice(0, 2));
    renameSync(join(folder, file), join(elsewhere, "there"));
    symlinkSync(join(elsewhere, "there"), join(folder, file));
    expect(seedsIn(folder)).toEqual([1, 2]);
    expect(await addLines(folder, lines)).toEqual([lines[2]]);
    expect(readFileSync(join(elsewhere, "there"), "utf8").trimEnd().split("\n").length).toBe(3);
    rmSync(join(elsewhere, "there"));
    expect(() => readResultLines(folder)).toThrow(
      new RegExp(`^${join(folder, file)}: is a link that leads nowhere; mend it, or delete it$`),
    );
  });

  it("is read where an editor put a byte order mark before the first line", async () => {
    const folder = fresh();
    await addLines(folder, lines.slice(0, 2));
    const path = join(folder, file);
    writeFileSync(path, `\u{FEFF}${readFileSync(path, "utf8")}`);
    expect(seedsIn(folder)).toEqual([1, 2]);
    await addLines(folder, lines);
    expect(seedsIn(folder)).toEqual([1, 2, 3]);
  });

  it("says of a run that diverged, and named no operation, what makes the option that names it count", async () => {
    const folder = fresh();
    const { id, cell, name, config, method, task, seed, device } = lines[0]!.result;
    const { study, code, commit, resolved, environment, losses } = lines[0]!;
    const run = { id, cell, name, config, method, task, seed, device };
    const of = { study, code, commit, resolved, environment, losses, run };
    const message = "step 3: the loss is NaN; --detect-anomaly names the operation";
    await addLines(folder, [{ outcome: "diverged", ...of, message }]);
    const kept = new RunStore(fresh(), new KeptResults(folder, { code }));
    expect(findIn(kept, false)({ name, cell, seed }).diverged).toBe(
      `step 3: the loss is NaN; delete this line and give the command again, and --detect-anomaly names the operation (${join(folder, file)}:1)`,
    );
  });

  it("names what cannot be written to", async () => {
    await expect(addLines(join(out, "runs", "x\0"), lines)).rejects.toThrow(/^--results: cannot write to/);
  });
});
