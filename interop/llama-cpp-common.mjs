// llama.cpp, which node-llama-cpp brings: what it writes and how likely it finds a text, and where lowrank stands beside it.
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

export function fail(message) {
  console.error(`llama-cpp: ${message}`);
  process.exit(2);
}

export const PROMPTS = [
  "The capital of France is",
  "Once upon a time there was",
  "In 1969, people walked on",
  "Water boils at",
  "def add(a, b):\n    return",
  "The three primary colors are",
  "Dear Sir or Madam,\n\n",
  "The opposite of hot is",
  "Photosynthesis is the process by which",
  "1, 2, 3, 4, 5,",
  "Il était une fois",
  "The best way to learn a language is",
];

/** @param folder where node-llama-cpp is installed */
export async function llamaCpp(folder, gguf) {
  let entry;
  try {
    entry = createRequire(join(folder, "package.json")).resolve("node-llama-cpp");
  } catch {
    fail(`--llama-cpp ${folder}: there is no node-llama-cpp; npm i node-llama-cpp there`);
  }
  const { getLlama } = await import(pathToFileURL(entry).href);
  const llama = await getLlama({ gpu: false, build: "never", logLevel: "error", progressLogs: false });
  const model = await llama.loadModel({ modelPath: gguf });
  return { llama, model };
}

/** What llama.cpp writes behind ids, most likely word by most likely word, to the end of the text at most. */
export async function continued({ model }, ids, count, threads, lora) {
  const context = await model.createContext({ contextSize: ids.length + count + 8, threads, lora });
  const written = [];
  for await (const id of context.getSequence().evaluate(ids, { temperature: 0, yieldEogToken: true })) {
    written.push(id);
    if (written.length === count || model.isEogToken(id)) break;
  }
  await context.dispose();
  return written;
}

/** Mean negative log-likelihood of each word given those before it, in nats. */
export async function meanNll({ model }, ids, threads, lora) {
  const context = await model.createContext({ contextSize: ids.length + 8, batchSize: ids.length, threads, lora });
  // all words, and nothing done to their logits
  const options = { temperature: 1, topK: 0, topP: 1, minP: 0 };
  const asked = ids.slice(0, -1).map((id, i) => {
    const logits = { filter: { tokens: [ids[i + 1]], includeTop: 1 } };
    return [id, { generateNext: { totalLogitWeight: true, logits, options } }];
  });
  const given = await context.getSequence().controlledEvaluate(asked);
  await context.dispose();
  const each = given.map(({ next }, i) => {
    const logits = [...next.logits.values()];
    return Math.max(...logits) + Math.log(next.totalLogitWeight) - next.logits.get(ids[i + 1]);
  });
  return each.reduce((sum, nll) => sum + nll, 0) / each.length;
}

/** The first and the second word of a row of logits, and how far the first is ahead in nats. */
function best(row) {
  let [first, second] = [-1, -1];
  row.forEach((value, id) => {
    if (first < 0 || value > row[first]) [first, second] = [id, first];
    else if (second < 0 || value > row[second]) second = id;
  });
  return { id: first, margin: row[first] - row[second] };
}

/** lowrank's logits behind each of ids from `from` on, row by row, and how many words there are. */
async function rowsOf({ tensor, device, model }, ids, from) {
  const { logits } = model.forward({ inputIds: device.tensor(Int32Array.from(ids), [1, ids.length], "i32") });
  return { rows: await tensor.ops.slice(logits, 1, from, ids.length - 1).floats(), words: logits.shape[2] };
}

/** Mean negative log-likelihood by lowrank, in nats. */
export async function ourMeanNll(ours, ids) {
  const { rows, words } = await rowsOf(ours, ids, 0);
  let sum = 0;
  for (let i = 0; i + 1 < ids.length; i++) {
    const row = rows.subarray(i * words, (i + 1) * words);
    const most = row.reduce((a, b) => Math.max(a, b), -Infinity);
    sum += most + Math.log(row.reduce((total, v) => total + Math.exp(v - most), 0)) - row[ids[i + 1]];
  }
  return sum / (ids.length - 1);
}

/** What lowrank would have written at each place of what llama.cpp wrote, after the same words. */
export async function besideOurs(ours, ids, written, margin) {
  const { rows, words } = await rowsOf(ours, [...ids, ...written], ids.length - 1);
  const mine = written.map((_, i) => best(rows.subarray(i * words, (i + 1) * words)));
  const differ = written.flatMap((id, i) => (id === mine[i].id ? [] : [i]));
  const wrong = differ.filter((i) => mine[i].margin >= margin);
  const [at] = differ;
  const text = (id) => JSON.stringify(ours.tokenizer.decode([id]));
  const first =
    at === undefined
      ? "no difference"
      : `first difference at ${at}: ours ${text(mine[at].id)}, theirs ${text(written[at])}, our margin ${mine[at].margin.toFixed(3)}`;
  const low = mine.filter(({ margin: m }) => m < margin).length;
  return {
    holds: wrong.length === 0,
    line: `${at ?? written.length} of ${written.length} tokens equal, ${first}; ${low} places below ${margin}, ${differ.length} words differ in all${wrong.map((i) => `; at ${i} though our margin is ${mine[i].margin.toFixed(3)}`).join("")}`,
  };
}
