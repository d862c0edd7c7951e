/** A training in a worker of headless Chromium, on a person's file: three labels, quotes, newlines in fields, a byte order mark, CRLF. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { init } from "@lowrank/tensor";
import { expect, it } from "vitest";
import { sendFile } from "../../packages/models/test/web-server.ts";
import { toyCheckpoint } from "../../packages/lab/test/toy-checkpoint.ts";
import { writeToyData } from "../../packages/lab/test/toy-data.ts";
import { chromium } from "./chromium.ts";
import { runPage } from "./page.ts";

const WORKER = `
  import { fit, predict } from "@lowrank/lab/fit";
  import { init } from "@lowrank/tensor";

  self.onmessage = async ({ data: file }) => {
    const said = [];
    let steps = 0;
    try {
      const device = await init({ device: "wasm", threads: 1 });
      const model = await fit(self.location.origin + "/model", file, {
        device, maxLength: 32, columns: { label: "verdict" }, say: (line) => said.push(line), onProgress: ({ kind }) => { if (kind === "step") steps++; },
        train: { epochs: 6, batchSize: 8, lr: 0.01 },
      });
      const answers = await predict(model, ['a "fine" film,\\nand good', "a dull film", "not bad, not good"]);
      self.postMessage({ steps, said, labels: model.labels, accuracy: model.metrics.accuracy, answers });
    } catch (error) {
      self.postMessage({ error: String(error?.stack ?? error) });
    }
  };
`;
const BODY = `
  const worker = new Worker("/worker.js", { type: "module" });
  const file = new File([await (await fetch("/reviews.csv")).blob()], "reviews.csv");
  Object.assign(result, await new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = (event) => reject(new Error(event.message));
    worker.postMessage(file);
  }));
`;

/** 100 rows; labels as people write them. */
const CSV = `\ufeffreview,verdict\r\n${Array.from({ length: 100 }, (_, i) =>
  i % 3 === 0
    ? `"a ""fine"" film,\r\nand good","good, really"\r\n`
    : i % 3 === 1
      ? `a dull film,"""bad"""\r\n`
      : `"not bad, not good",so so\r\n`,
).join("")}`;

it("fine-tunes on a file and answers, in a worker", async ({ skip }) => {
  const browser = await chromium();
  if (browser === undefined) return skip("the package @sparticuz/chromium is not installed or not for this machine");
  const data = writeToyData(mkdtempSync(join(tmpdir(), "lowrank-page-")));
  const device = await init({ device: "wasm", threads: 1 });
  const base = await toyCheckpoint(data, device);
  device.close();
  const { outputFiles } = await build({
    stdin: { contents: WORKER, resolveDir: import.meta.dirname, loader: "ts" },
    conditions: ["@lowrank/source"],
    bundle: true,
    format: "esm",
    target: "es2022",
    platform: "browser",
    external: ["webgpu", "node:*"],
    write: false,
    logLevel: "error",
  });
  const worker = outputFiles[0]!.text;
  // nothing of Node is imported, but for what is asked for where it is there
  expect([...worker.matchAll(/^import .*"node:.*$/gm)].map(([line]) => line)).toEqual([]);
  try {
    const script = { imports: "", body: BODY, folder: import.meta.dirname };
    const { error, said, answers, ...rest } = await runPage(browser, script, (asked, response) => {
      const send = (content: string, type: string): void =>
        void response.writeHead(200, { "content-type": type }).end(content);
      if (asked.path === "/worker.js") return send(worker, "text/javascript");
      if (asked.path === "/reviews.csv") return send(CSV, "text/csv");
      const name = /^\/model\/(config\.json|model\.safetensors|tokenizer\.json)$/.exec(asked.path)?.[1];
      if (name === undefined) return void response.writeHead(404).end();
      sendFile(asked, response, readFileSync(join(base, name)));
    });
    expect(error).toBeUndefined();
    // 90 rows in batches of 8, six times
    expect(rest).toEqual({ steps: 72, labels: ['"bad"', "good, really", "so so"], accuracy: 1 });
    expect((answers as { prediction: string }[]).map(({ prediction }) => prediction)).toEqual([
      "good, really",
      '"bad"',
      "so so",
    ]);
    expect((said as string[]).some((line) => line.includes('reviews.csv: the column "review" is taken for text'))).toBe(
      true,
    );
  } finally {
    for (const folder of [data, base]) rmSync(folder, { recursive: true, force: true });
  }
});
