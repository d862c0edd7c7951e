/**
 * What every compute thread runs, as source text: workers are started from a string so that no bundler has to find a file.
 * `runTable` is shared with the main thread. A table of dispatches lies in the linear memory; each thread walks all of it, does
 * its fixed share of every phase and meets the others at a barrier after it.
 *
 * Table, i32 words: count, then per dispatch: function, units, parallel (0/1), shared scratch, argument count, arguments….
 * Control words (at `control`): arrived, generation.
 */

/** Spins this many times before sleeping: about the length of a short phase, so that a waiting thread costs no core for long. */
const SPINS = 4000;

export const RUN_TABLE: string = `
function makeRunner(canSleep) {
  return function runTable(buffer, functions, table, control, tid, threads, scratch, times, clock) {
    const words = new Int32Array(buffer);
    const c = control >> 2;
    let p = table >> 2;
    const count = words[p++];
    for (let i = 0; i < count; i++) {
      const f = functions[words[p]], units = words[p + 1], parallel = words[p + 2], shared = words[p + 3], n = words[p + 4];
      p += 5;
      let begin = 0, end = units;
      if (parallel) { begin = Math.floor(units * tid / threads); end = Math.floor(units * (tid + 1) / threads); }
      else if (tid !== 0) end = 0;
      if (times && tid === 0) times.push(clock());
      if (begin < end) switch (n) {
        case 1: f(begin, end, shared, scratch, words[p]); break;
        case 2: f(begin, end, shared, scratch, words[p], words[p + 1]); break;
        case 3: f(begin, end, shared, scratch, words[p], words[p + 1], words[p + 2]); break;
        case 4: f(begin, end, shared, scratch, words[p], words[p + 1], words[p + 2], words[p + 3]); break;
        case 5: f(begin, end, shared, scratch, words[p], words[p + 1], words[p + 2], words[p + 3], words[p + 4]); break;
        default: f(begin, end, shared, scratch, ...words.subarray(p, p + n));
      }
      p += n;
      if (threads > 1) {
        const generation = Atomics.load(words, c + 1);
        if (Atomics.add(words, c, 1) === threads - 1) {
          Atomics.store(words, c, 0);
          Atomics.add(words, c + 1, 1);
          Atomics.notify(words, c + 1);
        } else {
          let spins = 0;
          while (Atomics.load(words, c + 1) === generation) if (++spins > ${SPINS} && canSleep) Atomics.wait(words, c + 1, generation);
        }
      }
    }
  };
}
`;

export const WORKER_SOURCE: string = `
${RUN_TABLE}
const port = typeof require === "function" ? require("node:worker_threads").parentPort : self;
const functions = [];
let memory, runTable;
function receive(message) {
  if (message.memory) { memory = message.memory; runTable = makeRunner(true); port.postMessage("ready"); }
  else if (message.module) {
    const { exports } = new WebAssembly.Instance(message.module, { env: { memory } });
    for (const name of message.names) functions.push(exports[name]);
  } else runTable(memory.buffer, functions, message.table, message.control, message.tid, message.threads, message.scratch);
}
if (port === globalThis.self) port.onmessage = (event) => receive(event.data);
else port.on("message", receive);
`;

export type RunTable = (
  buffer: ArrayBufferLike, functions: readonly unknown[], table: number, control: number, tid: number, threads: number, scratch: number,
  times?: number[], clock?: () => number,
) => void;
