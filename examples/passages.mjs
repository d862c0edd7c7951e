// A table for multi-label classification, made of any plain text: passages, and what stands in them.
//   node examples/passages.mjs book.txt 2000 > passages.jsonl
import { readFileSync } from "node:fs";

const [file, count = "2000", words = "40"] = process.argv.slice(2);
if (file === undefined) {
  console.error("usage: node examples/passages.mjs TEXT [PASSAGES] [WORDS] > passages.jsonl");
  process.exit(2);
}
const kinds = { question: /\?/, exclamation: /!/, speech: /["“”]/, "first person": /\b(I|my|me)\b/, number: /\d/ };
const all = readFileSync(file, "utf8").split(/\s+/);
// evenly over the whole text
const step = Math.max(Number(words), Math.floor(all.length / Number(count)));
for (let at = 0, made = 0; made < Number(count) && at + Number(words) <= all.length; at += step, made++) {
  const text = all.slice(at, at + Number(words)).join(" ");
  const labels = Object.entries(kinds).flatMap(([label, sign]) => (sign.test(text) ? [label] : []));
  console.log(JSON.stringify({ text, labels }));
}
