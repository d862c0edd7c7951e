/** The script of a compute worker, as text: workers are started from a string, so that no bundler has to find a file. */
import { runTable } from "./run-table.ts";

/** Looks at the barrier before sleeping, see `runTable`. */
export const SPINS = 4000;

export function workerSource(): string {
  return `
const runTable = ${runTable.toString()};
const port = typeof require === "function" ? require("node:worker_threads").parentPort : self;
const functions = [];
let memory;
function receive(message) {
  if (message.memory) { memory = message.memory; port.postMessage("ready"); }
  else if (message.module) {
    const { exports } = new WebAssembly.Instance(message.module, { env: { memory } });
    for (const name of message.names) functions.push(exports[name]);
  } else runTable(memory.buffer, functions, message, ${SPINS});
}
if (port === globalThis.self) port.onmessage = (event) => receive(event.data);
else port.on("message", receive);
`;
}
