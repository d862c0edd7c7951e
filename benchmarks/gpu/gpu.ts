/** `npm run bench:gpu`: is the engine right on this machine's GPU, and how fast? README.md says how it is taken to a machine with a card. */
import { writeFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { parseArgs } from "node:util";
import { nvidiaSmi } from "./adapter.ts";
import { findCard, runSection, stopRunning, work, type Job } from "./process.ts";
import { reason, type Card, type SectionResult } from "./row.ts";
import { SECTIONS, type Choices } from "./sections.ts";
import { warmTorch } from "./torch.ts";
import { besideTorch, line, partOfPeak, peakOf } from "./table.ts";

const HELP = `npm run -s bench:gpu -- [--out FILE] [--only LIST] [--require-gpu] [--small] [--python PATH]

  --out FILE      everything as JSON, written anew after each section
  --only LIST     of ${SECTIONS.map(({ name }) => name).join(", ")}
  --require-gpu   end at once where the only adapter computes on the CPU (else everything is done small)
  --small         everything small, on a card too
  --python PATH   the Python that may have PyTorch (default: python3)
  --torch-cpu     PyTorch on the CPU, to try that the peer runs

Exit code 1: something is wrong on the device, or a section failed. A section whose time ran out is said to be cut, and is no failure.
`;

/** Seconds of everything together. */
const BUDGET = 234;

interface Options extends Choices {
  readonly out: string | undefined;
  readonly only: readonly string[];
  readonly requireGpu: boolean;
  readonly small: boolean;
}

function fail(message: string): never {
  process.stderr.write(`bench:gpu: ${message}\n`);
  process.exit(2);
}

function readOptions(): Options {
  const all = SECTIONS.map(({ name }) => name);
  try {
    const { values } = parseArgs({
      options: {
        out: { type: "string" },
        only: { type: "string" },
        "require-gpu": { type: "boolean", default: false },
        small: { type: "boolean", default: false },
        python: { type: "string", default: "python3" },
        "torch-cpu": { type: "boolean", default: false },
        help: { type: "boolean", short: "h" },
      },
    });
    if (values.help === true) {
      process.stdout.write(HELP);
      process.exit(0);
    }
    const only = values.only?.split(",") ?? all;
    for (const name of only) if (!all.includes(name)) fail(`--only ${name}: there are ${all.join(", ")}`);
    return {
      out: values.out,
      only,
      requireGpu: values["require-gpu"],
      small: values.small,
      python: values.python,
      torchDevice: values["torch-cpu"] ? "cpu" : "cuda",
    };
  } catch (error) {
    fail(`${(error as Error).message.split("\n")[0]}; --help shows what there is`);
  }
}

const say = (text: string): boolean => process.stdout.write(`${text}\n`);

async function main(): Promise<number> {
  const options = readOptions();
  const began = performance.now();
  const left = (): number => BUDGET - (performance.now() - began) / 1000;
  let card: Card;
  try {
    card = await findCard();
  } catch (error) {
    say(`bench:gpu: ${reason(error)}`);
    say(`  nvidia-smi: ${nvidiaSmi() ?? "not there"}; VK_DRIVER_FILES: ${process.env["VK_DRIVER_FILES"] ?? "not set"}`);
    return 1;
  }
  say(
    `${card.description}; ${cpus()[0]?.model ?? "unknown processor"}, ${availableParallelism()} cores, Node ${process.version}`,
  );
  if (card.software && options.requireGpu) {
    say("bench:gpu: this adapter computes on the CPU, and a GPU is required (--require-gpu)");
    return 1;
  }
  const small = options.small || card.software;
  if (card.software) say("This is a software device: everything is done small, and no time says anything of a GPU.");

  const names = `${card.description} ${nvidiaSmi() ?? ""}`;
  const results: SectionResult[] = [];
  const wrongs = (): string[] =>
    results.flatMap(({ name, state, why, rows }) => [
      ...rows.flatMap((row) => (row.wrong === undefined ? [] : [`${name}: ${row.name}: ${row.wrong}`])),
      ...(state === "failed" ? [`${name}: failed: ${why}`] : []),
    ]);
  const save = (): void => {
    if (options.out === undefined) return;
    const peak = peakOf(names, card.software, results);
    const sections = results.map((section) => ({
      ...section,
      rows: section.rows.map((row) => ({ ...row, ofPeak: partOfPeak(row, peak) })),
    }));
    const host = { cpu: cpus()[0]?.model, cores: availableParallelism(), node: process.version };
    const seconds = (performance.now() - began) / 1000;
    const everything = { when: new Date().toISOString(), seconds, host, card, small, peak, wrong: wrongs(), sections };
    writeFileSync(options.out, `${JSON.stringify(everything, null, 1)}\n`);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => {
      stopRunning();
      save();
      process.exit(130);
    });

  const { python, torchDevice } = options;
  const endWarming = !small && options.only.includes("torch") ? warmTorch(python) : () => undefined;
  for (const section of SECTIONS) {
    const { name, title } = section;
    // PyTorch's times beside those of a software device would compare nothing; it is there for trying
    const fits = section.small || !small || (name === "torch" && torchDevice === "cpu");
    if (!options.only.includes(name) || !fits) continue;
    const seconds = Math.min(section.seconds, left());
    if (seconds < 2) {
      results.push({ name, state: "cut", why: "no time was left for it", seconds: 0, rows: [] });
      continue;
    }
    say(`\n${name}: ${title}`);
    const peak = peakOf(names, card.software, results);
    const result = await runSection(section, { seconds, small, card, python, torchDevice }, (row) =>
      say(line(row, peak)),
    );
    results.push(result);
    say(
      `  ${result.state === "done" ? "done" : result.state.toUpperCase()} in ${result.seconds.toFixed(1)} s${result.why === undefined ? "" : `: ${result.why}`}`,
    );
    save();
  }

  const beside = besideTorch(results);
  if (beside.length > 0) say(`\n${beside.join("\n")}`);
  const peak = peakOf(names, card.software, results);
  if (peak !== undefined)
    say(
      `\nPeak (${peak.source}): ${(peak.flops / 1e12).toPrecision(3)} TFLOP/s, ${(peak.bytes / 1e12).toPrecision(3)} TB/s`,
    );
  endWarming();
  const wrong = wrongs();
  const cut = results.filter(({ state }) => state === "cut").map(({ name }) => name);
  say(
    `${wrong.length === 0 ? "Nothing is wrong" : `${wrong.length} WRONG`}${cut.length === 0 ? "" : `; cut: ${cut.join(", ")}`}; ${((performance.now() - began) / 1000).toFixed(0)} s in all`,
  );
  for (const text of wrong) say(`  ${text}`);
  save();
  return wrong.length === 0 ? 0 : 1;
}

const [flag, job] = process.argv.slice(2);
if (flag === "--job") await work(JSON.parse(job!) as Job);
else process.exit(await main());
