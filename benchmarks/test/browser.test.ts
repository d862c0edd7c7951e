/** A checkpoint in a real browser, headless Chromium: from blobs, by ranges, and from the hub, with the logits that Node computes. */
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { init, type Tensor } from "@lowrank/tensor";
import { fromPretrained, GPT2LMHeadModel, metaModel, savePretrained } from "@lowrank/models";
import { expect, it } from "vitest";
import { sendFile, type Asked } from "../../packages/models/test/web-server.ts";
import { chromium } from "./chromium.ts";
import { runPage } from "./page.ts";

const COMMIT = "b".repeat(40);
const IDS = [1, 5, 9, 2];

const IMPORTS = `
  import { blobs, fromPretrained, http } from "@lowrank/models";
  import { hub } from "@lowrank/models/hub";
  import { init } from "@lowrank/tensor";
`;
const BODY = `
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

  let ranges = 0;
  const answer = (asked: Asked, response: ServerResponse): void => {
    const send = (bytes: Uint8Array | string, type: string): void =>
      void response.writeHead(200, { "content-type": type }).end(bytes);
    if (asked.path === "/ranges") return send(String(ranges), "text/plain");
    if (asked.path === "/api/models/org/name/revision/main")
      return send(JSON.stringify({ sha: COMMIT }), "application/json");
    const name = /^\/(?:model|org\/name\/resolve\/b+)\/(.+)$/.exec(asked.path)?.[1];
    if (name === undefined || !readdirSync(folder).includes(name)) return void response.writeHead(404).end();
    if (asked.range !== undefined) ranges++;
    sendFile(asked, response, readFileSync(join(folder, name)));
  };
  try {
    const script = { imports: IMPORTS, body: BODY, folder: import.meta.dirname };
    const { error, first, second, kept, ...logits } = await runPage(browser, script, answer);
    expect(error).toBeUndefined();
    expect(logits).toEqual({ http: want, beside: want, blobs: want, opfs: want, hub: want, again: want });
    // the second time only the size is asked for
    expect([Number(first) > 3, second, Number(kept) > 10]).toEqual([true, 1, true]);
  } finally {
    device.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
