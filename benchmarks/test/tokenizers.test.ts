/** Tokens in a real browser, headless Chromium: those that `tokenizers` recorded. */
import { expect, it } from "vitest";
import { fileOf, present, rows } from "../../packages/models/test/tokenizer-fixtures.ts";
import { chromium } from "./chromium.ts";
import { runPage } from "./page.ts";

const NAMES = ["bert", "gpt2", "qwen", "llama-legacy", "unigram", "spm-precompiled"];
interface Text {
  readonly i: number;
  readonly text: string;
  readonly utf16_units?: number[];
}
interface Row {
  readonly i: number;
  readonly special: boolean;
  readonly ids: number[];
}

it.skipIf(!present)("tokenizes in Chromium as recorded", async ({ skip }) => {
  const browser = await chromium();
  if (browser === undefined) return skip("the package @sparticuz/chromium is not installed or not for this machine");
  const texts = new Map(
    rows<Text>("texts").map(({ i, text, utf16_units: units }) => [
      i,
      units === undefined ? text : String.fromCharCode(...units),
    ]),
  );
  const recorded = new Map(NAMES.map((name) => [name, rows<Row>(`encode.${name}`)]));
  const script = {
    imports: `import { parseTokenizer } from "@lowrank/models";`,
    body: `
      for (const name of ${JSON.stringify(NAMES)}) {
        const { file, calls } = await (await fetch("/" + name)).json();
        const tokenizer = parseTokenizer(file);
        result[name] = calls.map(([text, specialTokens]) => tokenizer.encode(text, { specialTokens }).ids);
      }`,
    folder: import.meta.dirname,
  };
  const { error, ...got } = await runPage(browser, script, ({ path }, response) => {
    const name = path.slice(1);
    const calls = recorded.get(name)?.map(({ i, special }) => [texts.get(i), special]);
    if (calls === undefined) return void response.writeHead(404).end();
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ file: fileOf(name), calls }));
  });
  expect(error).toBeUndefined();
  for (const name of NAMES) {
    const ids = got[name] as number[][];
    const differing = recorded.get(name)!.filter((row, k) => JSON.stringify(row.ids) !== JSON.stringify(ids[k]));
    expect(differing.map(({ i }) => [name, texts.get(i)])).toEqual([]);
  }
});
