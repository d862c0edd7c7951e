/** The script of a compute worker, as text: workers are started from a string, so that no bundler has to find a file. */
import { runTable } from "./run-table.ts";

/** Looks at the barrier before sleeping, see `runTable`. */
export const SPINS = 4000;
/** Looks at its call word before a worker that has finished a run sleeps on it: about as long as JavaScript takes from one short run to the next. */
const CALL_SPINS = 10_000;
/** How long a worker waits for the next run before it goes back to reading messages: a training step's JavaScript takes less. */
const LINGER_MS = 20;

/** Words of the control block. */
export const CONTROL = {
  arrived: 0,
  generation: 1,
  table: 2,
  threads: 3,
  scratch: 4,
  threadScratch: 5,
  workers: 8,
} as const;
export const WORKER_WORDS = 3;
/** Words from one thread's claims to the next thread's: a cache line. */
export const CLAIM_WORDS = 16;
/** Characters kept of the error that ended a worker. */
export const LAST_WORDS = 160;
/** What a worker does. */
export const AWAY = 0;
export const WAITING = 1;
export const CALLED = 2;
/** It threw, and takes part in nothing any more. */
export const FAILED = 3;

/**
 * `serve` runs until nobody calls for a while or a message comes. `guarded` leaves what went wrong in memory: the caller may be waiting, and read no
 * messages. (Comments stand here because those in the text would be shipped.)
 * @param hook for tests: statements that a worker runs before each piece of work it takes
 */
export function workerSource(hook?: string): string {
  return `
const runTable = ${runTable.toString()};
const port = typeof require === "function" ? require("node:worker_threads").parentPort : self;
const functions = [];
const hooked = (f) => ${hook === undefined ? "f" : `(...args) => { ${hook}; return f(...args); }`};
let memory, words, control, claims, lastWords, tid, me, read = 0;

function run() {
  const [table, threads, scratch, own] = [${[CONTROL.table, CONTROL.threads, CONTROL.scratch, CONTROL.threadScratch].join(", ")}].map((at) => Atomics.load(words, control + at));
  runTable(memory.buffer, functions, { table, control, claims, tid, threads, scratch: scratch + tid * own, spins: ${SPINS} });
}

function serve() {
  do {
    Atomics.store(words, me, ${AWAY});
    run();
    Atomics.store(words, me, ${WAITING});
    if (Atomics.load(words, me + 1) !== read) continue;
    for (let looked = 0; looked < ${CALL_SPINS} && Atomics.load(words, me) === ${WAITING}; looked++);
    Atomics.wait(words, me, ${WAITING}, ${LINGER_MS});
  } while (Atomics.compareExchange(words, me, ${WAITING}, ${AWAY}) === ${CALLED});
}

function receive(message) {
  if (message.memory) {
    ({ memory, control, claims, lastWords, tid } = message);
    words = new Int32Array(memory.buffer);
    me = control + ${CONTROL.workers} + ${WORKER_WORDS} * (tid - 1);
    port.postMessage("ready");
    return;
  }
  Atomics.store(words, me + 2, ++read);
  if (message.module) {
    const { exports } = new WebAssembly.Instance(message.module, { env: { memory } });
    for (const name of message.names) functions.push(hooked(exports[name]));
  } else serve();
}
function guarded(message) {
  try {
    receive(message);
  } catch (error) {
    if (words !== undefined) {
      const text = Array.from(String(error).slice(0, ${LAST_WORDS - 1}), (ch) => ch.charCodeAt(0));
      new Uint8Array(memory.buffer, lastWords, text.length).set(text);
      Atomics.store(words, me, ${FAILED});
    }
    throw error;
  }
}
if (port === globalThis.self) port.onmessage = (event) => guarded(event.data);
else port.on("message", guarded);
`;
}
