/**
 * One engine with one number of threads in a process of its own. Does what the parent's messages say and answers each with one message:
 * open → about and what the engine lacks; prepare → a digest of the result, or why not; turn → milliseconds of each call; close.
 */
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { Cannot, works } from "./work.mjs";

// v128 relaxed_madd, which Node 20 keeps behind a flag: every engine may use it
const RELAXED = Uint8Array.from(
  Buffer.from("0061736d0100000001080160037b7b7b017b030201000a0d010b00200020012002fd85020b", "hex"),
);
if (!WebAssembly.validate(RELAXED)) setFlagsFromString("--experimental-wasm-relaxed-simd");

/** Not to stand in a published table. */
const here = fileURLToPath(new URL("../..", import.meta.url));
const [engineName, threadsText] = process.argv.slice(2);
let engine;
let task;

/** Enough of a result to compare engines by: up to 256 numbers spread over it. */
function digest(values) {
  const step = Math.max(1, Math.floor(values.length / 256));
  return {
    length: values.length,
    sample: Array.from({ length: Math.min(256, values.length) }, (_, i) => Number(values[i * step])),
  };
}

const handlers = {
  async open() {
    engine = await (await import(`./engines/${engineName}.mjs`)).open(Number(threadsText));
    return { about: engine.about, lacks: await engine.lacks?.() };
  },
  async prepare({ name, warmups }) {
    const work = works.find((w) => w.name === name);
    task = await engine.prepare(work);
    const started = performance.now();
    await task.run();
    const firstMs = performance.now() - started;
    const values = await task.read();
    const result = digest(work.summary === undefined ? values : work.summary(values, work));
    for (let i = 1; i < warmups; i++) await task.run();
    return { result, firstMs };
  },
  async turn({ ms }) {
    const samples = [];
    const before = engine.peak?.();
    const end = performance.now() + ms;
    do {
      const started = performance.now();
      await task.run();
      samples.push(performance.now() - started);
    } while (performance.now() < end);
    // beside the turn: the machine's speed drifts, and the fraction must not
    return { samples, peak: before === undefined ? undefined : (before + engine.peak()) / 2 };
  },
  async close() {
    await task?.close();
    task = undefined;
    return {};
  },
};

process.on("message", (message) => {
  // one line of reason is enough for a table; the whole error goes to stderr where it is a surprise
  const fail = (error) => {
    if (!(error instanceof Cannot)) process.stderr.write(`${engineName}: ${error?.stack ?? error}\n`);
    process.send({
      cannot: String(error?.message ?? error)
        .split("\n")[0]
        .replaceAll(here, ""),
    });
  };
  Promise.resolve()
    .then(() => handlers[message.do](message))
    .then((answer) => process.send(answer), fail);
});
process.on("disconnect", () => process.exit(0));
process.send({ ready: true });
