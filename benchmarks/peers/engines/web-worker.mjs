/**
 * What peers written for browsers need for threads under Node: a global Worker, and workers started from blob: addresses.
 * Only what those two libraries use.
 */
import { createRequire } from "node:module";

const threads = createRequire(import.meta.url)("node:worker_threads");
const NodeWorker = threads.Worker;

/** Remembers the text behind every script blob; Node's workers cannot load blob: addresses, but can evaluate text. */
function rememberScripts() {
  const texts = new WeakMap();
  const addresses = new Map();
  const PlainBlob = globalThis.Blob;
  globalThis.Blob = class extends PlainBlob {
    constructor(parts = [], options = {}) {
      super(parts, options);
      if (String(options.type).includes("javascript")) texts.set(this, parts.join(""));
    }
  };
  const create = URL.createObjectURL;
  URL.createObjectURL = (blob) => {
    const address = create.call(URL, blob);
    if (texts.has(blob)) addresses.set(address, texts.get(blob));
    return address;
  };
  return addresses;
}

/** Gives the process a browser's Worker and hardwareConcurrency. */
export function provideWebWorkers(count) {
  const scripts = rememberScripts();
  Object.defineProperty(globalThis, "navigator", { value: { hardwareConcurrency: count }, configurable: true });
  const prelude = `const { parentPort } = require("node:worker_threads");
    globalThis.self = globalThis;
    globalThis.postMessage = (data) => parentPort.postMessage(data);
    parentPort.on("message", (data) => globalThis.onmessage({ data }));\n`;
  globalThis.Worker = class {
    onmessage = null;
    onerror = null;
    #worker;
    constructor(address) {
      this.#worker = new NodeWorker(prelude + scripts.get(String(address)), { eval: true });
      this.#worker.on("message", (data) => this.onmessage?.({ data }));
      this.#worker.on("error", (error) => this.onerror?.(error));
    }
    postMessage(data) {
      this.#worker.postMessage(data);
    }
  };
}

/** Lets Node's own Worker start from blob: addresses; `mainScript` is the file that such a worker's importScripts(blob) stands for. */
export function letWorkersStartFromBlobs(mainScript) {
  const scripts = rememberScripts();
  const prelude = `{ const fs = require("node:fs"), read = fs.readFileSync;
    fs.readFileSync = (file, ...rest) => read(String(file).startsWith("blob:") ? ${JSON.stringify(mainScript)} : file, ...rest); }\n`;
  threads.Worker = class extends NodeWorker {
    constructor(address, options) {
      const text = scripts.get(String(address));
      if (text === undefined) super(address, options);
      else super(prelude + text, { eval: true });
    }
  };
}
