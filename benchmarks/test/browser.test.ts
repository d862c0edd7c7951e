/** A checkpoint in a real browser, headless Chromium: from blobs, by ranges, and from the hub, with the logits that Node computes. */
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { init, type Tensor } from "@lowrank/tensor";
import { fromPretrained, GPT2LMHeadModel, metaModel, savePretrained } from "@lowrank/models";
import { build } from "esbuild";
import { expect, it } from "vitest";
import { sendFile, serve } from "../../packages/models/test/web-server.ts";
import { chromium, open } from "./chromium.ts";

const COMMIT = "b".repeat(40);
const IDS = [1, 5, 9, 2];

const PAGE = `
  import { blobs, fromPretrained, http } from "@lowrank/models";
  import { hub } from "@lowrank/models/hub";
  import { init } from "@lowrank/tensor";

  const result = {};
  try {
    const device = await init({ device: "wasm", threads: 1 });
    const logits = async (from) => {
      const { model } = await fromPretrained(from, { device });
      const values = [...await model.forward({ inputIds: device.tensor(Int32Array.from(${JSON.stringify(IDS)}), [1, 4]) }).logits.data()];
      model.dispose();
      return values;
    };
    result.http = await logits(location.origin + "/model");
    result.beside = await logits("./model");
    const files = [];
    for (const name of ["config.json", "model.safetensors"]) files.push(new File([await (await fetch("/model/" + name)).blob()], name));
    result.blobs = await logits(blobs(files));
    const root = await navigator.storage.getDirectory();
    const handles = [];
    for (const file of files) {
      const handle = await root.getFileHandle(file.name, { create: true });
      const writable = await handle.createWritable();
      await writable.write(file);
      await writable.close();
      handles.push(handle);
    }
    result.opfs = await logits(blobs(handles));
    const count = async () => Number(await (await fetch("/ranges")).text());
    const endpoint = location.origin;
    let before = await count();
    result.hub = await logits(hub("org/name", { endpoint }));
    result.first = await count() - before;
    before = await count();
    result.again = await logits(hub("org/name", { endpoint }));
    result.second = await count() - before;
    result.kept = (await (await caches.open("lowrank-hub")).keys()).length;
  } catch (error) {
    result.error = String(error?.stack ?? error);
  }
  await fetch("/result", { method: "POST", body: JSON.stringify(result) });
`;

it("gives the same logits in Chromium, from wherever", async ({ skip }) => {
  const browser = await chromium();
  if (browser === undefined) return skip("the package @sparticuz/chromium is not installed or not for this machine");
  const folder = mkdtempSync(join(tmpdir(), "lowrank-browser-"));
  const device = await init({ device: "wasm", threads: 1 });
  const config = { model_type: "gpt2", vocab_size: 1500, n_positions: 6, n_embd: 64, n_layer: 2, n_head: 2 };
  const drawn = metaModel("GPT2LMHeadModel", config);
  await drawn.materialize({ device, seed: 5 });
  await savePretrained(drawn, folder);
  const { model } = await fromPretrained(folder, GPT2LMHeadModel, { device });
  const ids = device.tensor(Int32Array.from(IDS), [1, IDS.length]);
  const want = [...((await (model.forward({ inputIds: ids }).logits as Tensor).data()) as Float32Array)];

  const { outputFiles } = await build({
    stdin: { contents: PAGE, resolveDir: import.meta.dirname, loader: "js" },
    conditions: ["@lowrank/source"],
    bundle: true,
    format: "esm",
    target: "es2022",
    platform: "browser",
    external: ["webgpu", "node:*"],
    write: false,
    logLevel: "error",
  });
  let done: (text: string) => void;
  const result = new Promise<string>((resolve) => (done = resolve));
  let ranges = 0;
  const server = await serve((asked, response) => {
    const send = (bytes: Uint8Array | string, type: string): void =>
      void response.writeHead(200, { "content-type": type }).end(bytes);
    if (asked.path === "/") return send('<script type="module" src="/page.js"></script>', "text/html");
    if (asked.path === "/page.js") return send(outputFiles[0]!.text, "text/javascript");
    if (asked.path === "/ranges") return send(String(ranges), "text/plain");
    if (asked.path === "/api/models/org/name/revision/main")
      return send(JSON.stringify({ sha: COMMIT }), "application/json");
    const name = /^\/(?:model|org\/name\/resolve\/b+)\/(.+)$/.exec(asked.path)?.[1];
    if (name === undefined || !readdirSync(folder).includes(name)) return void response.writeHead(404).end();
    if (asked.range !== undefined) ranges++;
    sendFile(asked, response, readFileSync(join(folder, name)));
  });
  server.before = async ({ method, path }, response) => {
    if (method !== "POST" || path !== "/result") return false;
    const { req } = response;
    let text = "";
    for await (const chunk of req) text += String(chunk);
    response.end();
    done(text);
    return true;
  };
  const close = open(browser, server.url);
  try {
    const { error, first, second, kept, ...logits } = JSON.parse(await result) as Record<string, unknown>;
    expect(error).toBeUndefined();
    expect(logits).toEqual({ http: want, beside: want, blobs: want, opfs: want, hub: want, again: want });
    // the second time only the size is asked for
    expect([Number(first) > 3, second, Number(kept) > 10]).toEqual([true, 1, true]);
  } finally {
    await close();
    await server.close();
    device.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
