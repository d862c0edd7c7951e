/**
 * `npm run -s bench:finetune -- --python PATH --base DIR --data FILE`: real tokens a second of `lowrank train` (LoRA r 8 on every linear layer, an NF4
 * base, rows of like length together) beside PyTorch and PEFT, batches padded to their longest row. The two take turns of a few steps, there and back, so
 * that what else the machine does hits both; the ratio is the median over rounds. Processor time tells most where the machine is busy, on one thread.
 */
import { spawn } from "node:child_process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = join(here, "../../..");
const loader = pathToFileURL(join(root, "node_modules/tsx/dist/loader.mjs")).href;
const { values } = parseArgs({
  options: {
    python: { type: "string", default: process.env["LOWRANK_PYTHON"] },
    base: { type: "string" },
    data: { type: "string" },
    threads: { type: "string", default: "2" },
    steps: { type: "string", default: "8" },
    rounds: { type: "string", default: "6" },
    warm: { type: "string", default: "24" },
  },
});
for (const name of ["python", "base", "data"])
  if (values[name] === undefined) {
    process.stderr.write(
      `--${name} is needed: npm run -s bench:finetune -- --python PATH --base DIR --data FILE.csv (columns text, label)\n`,
    );
    process.exit(2);
  }
const { python, base, data, threads } = values;

class Side {
  #lines;
  #child;

  constructor(name, command, args) {
    this.name = name;
    this.#child = spawn(command, args, {
      stdio: ["pipe", "pipe", "inherit"],
      cwd: process.env["INIT_CWD"] ?? process.cwd(),
    });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async answer() {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`${this.name} ended`);
    return JSON.parse(value);
  }

  async steps(count) {
    this.#child.stdin.write(`${count}\n`);
    return this.answer();
  }

  end() {
    this.#child.stdin.end();
  }
}

const ours = new Side("lowrank", process.execPath, [
  "--import",
  loader,
  "--conditions",
  "@lowrank/source",
  join(here, "ours.ts"),
  base,
  data,
  threads,
]);
await ours.answer();
const torch = new Side("PyTorch", python, [join(here, "peer.py"), base, data, threads]);
await torch.answer();
const sides = [ours, torch];
// plans are made, and memory is taken, before the clock runs
for (const side of sides) await side.steps(Number(values.warm));
const series = () => new Map(sides.map((side) => [side.name, []]));
const [clock, processor, share] = [series(), series(), series()];
for (let round = 0; round < Number(values.rounds); round++)
  for (const side of round % 2 === 0 ? sides : [...sides].reverse()) {
    const made = await side.steps(Number(values.steps));
    clock.get(side.name).push(made.tokens / made.seconds);
    processor.get(side.name).push(made.tokens / made.processor);
    share.get(side.name).push(made.tokens / made.padded);
  }
for (const side of sides) side.end();
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const shown = (list, digits) =>
  `${median(list).toFixed(digits)} (rounds ${list.map((n) => n.toFixed(digits)).join(", ")})`;
for (const { name } of sides)
  process.stdout.write(
    `${name}: ${shown(clock.get(name), 0)} real tokens a second, ${shown(processor.get(name), 0)} a processor second; ${(100 * median(share.get(name))).toFixed(0)} % of what it computes is real\n`,
  );
for (const [what, rates] of [
  ["by the clock", clock],
  ["by processor time", processor],
]) {
  const ratios = rates.get("lowrank").map((rate, i) => rate / rates.get("PyTorch")[i]);
  process.stdout.write(`lowrank / PyTorch ${what}, ${threads} threads: ${shown(ratios, 2)}\n`);
}
