/** `npm run bench:gpu`: is the engine right on this machine's GPU, and how fast? README.md says how it is taken to a machine with a card. */
import { writeFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { nvidiaSmi } from "./adapter.ts";
import { readOptions, type Options } from "./options.ts";
import { findCard, runSection, stopRunning, work, type Job } from "./process.ts";
import { reason, type Card, type SectionResult } from "./row.ts";
import { SECTIONS, type Section } from "./sections.ts";
import { besideTorch, line, partOfPeak, peakOf, verdict, wrongIn } from "./table.ts";
import { warmTorch } from "./torch.ts";

/** Seconds of everything together. */
const BUDGET = 234;
/** What is left must be enough for a process to start. */
const LEAST = 2;
const INTERRUPTED = 130;
/** A software device has what other processes leave of the processor, and nobody waits for it. */
const PATIENCE = 3;

const began = performance.now();
const seconds = (): number => (performance.now() - began) / 1000;
const say = (text: string): boolean => process.stdout.write(`${text}\n`);

async function main(): Promise<number> {
  const options = readOptions();
  let card: Card;
  try {
    card = await findCard();
  } catch (error) {
    say(`bench:gpu: ${reason(error)}`);
    const driver = process.env["VK_DRIVER_FILES"] ?? "not set";
    say(`  nvidia-smi: ${nvidiaSmi() ?? "not there"}; VK_DRIVER_FILES: ${driver}`);
    return 1;
  }
  const host = { cpu: cpus()[0]?.model ?? "unknown processor", cores: availableParallelism(), node: process.version };
  say(`${card.description}; ${host.cpu}, ${host.cores} cores, Node ${host.node}`);
  if (card.software && options.requireGpu) {
    say("bench:gpu: this adapter computes on the CPU, and a GPU is required (--require-gpu)");
    return 1;
  }
  const small = options.small || card.software;
  if (card.software) say("This is a software device: everything is done small, and no time says anything of a GPU.");

  const names = `${card.description} ${nvidiaSmi() ?? ""}`;
  const results: SectionResult[] = [];
  const peak = (): ReturnType<typeof peakOf> => peakOf(names, card.software, results);
  const save = (): void => {
    if (options.out === undefined) return;
    const sections = results.map((section) => ({
      ...section,
      rows: section.rows.map((row) => ({ ...row, ofPeak: partOfPeak(row, peak()) })),
    }));
    const when = new Date().toISOString();
    const all = { when, seconds: seconds(), host, card, small, peak: peak(), wrong: wrongIn(results), sections };
    writeFileSync(options.out, `${JSON.stringify(all, null, 1)}\n`);
  };

  let interrupted = false;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => {
      interrupted = true;
      // what it has found is kept
      stopRunning();
    });
  const endWarming = !small && options.only.includes("torch") ? warmTorch(options.python) : () => undefined;
  for (const section of sectionsFor(options, small)) {
    if (interrupted) break;
    say(`\n${section.name}: ${section.title}`);
    const known = peak();
    const result = await timed(section, { ...options, small, card }, (row) => say(line(row, known)));
    results.push(result);
    say(`  ${verdict(result)}`);
    save();
  }
  endWarming();

  const beside = besideTorch(results);
  if (beside.length > 0) say(`\n${beside.join("\n")}`);
  const found = peak();
  if (found !== undefined) {
    const rates = `${(found.flops / 1e12).toPrecision(3)} TFLOP/s, ${(found.bytes / 1e12).toPrecision(3)} TB/s`;
    say(`\nPeak (${found.source}): ${rates}`);
  }
  const wrong = wrongIn(results);
  const cut = results.filter(({ state }) => state === "cut").map(({ name }) => name);
  const ends = [
    wrong.length === 0 ? "Nothing is wrong" : `${wrong.length} WRONG`,
    ...(cut.length === 0 ? [] : [`cut: ${cut.join(", ")}`]),
    ...(interrupted ? ["interrupted"] : []),
    `${seconds().toFixed(0)} s in all`,
  ];
  say(ends.join("; "));
  for (const text of wrong) say(`  ${text}`);
  save();
  return interrupted ? INTERRUPTED : wrong.length === 0 ? 0 : 1;
}

/** PyTorch's times beside those of a software device would compare nothing; on the CPU it is there for trying. */
function sectionsFor({ only, torchDevice }: Options, small: boolean): Section[] {
  return SECTIONS.filter(
    ({ name, small: fits }) => only.includes(name) && (fits || !small || (name === "torch" && torchDevice === "cpu")),
  );
}

/** In what is left of the time, if that is enough to begin. */
async function timed(
  section: Section,
  { python, torchDevice, small, card }: Omit<Job, "section" | "seconds">,
  onRow: Parameters<typeof runSection>[2],
): Promise<SectionResult> {
  const most = Math.min(section.seconds * (small ? PATIENCE : 1), BUDGET - seconds());
  if (most < LEAST) return { name: section.name, state: "cut", why: "no time was left for it", seconds: 0, rows: [] };
  return runSection(section, { seconds: most, small, card, python, torchDevice }, onRow);
}

const [flag, job] = process.argv.slice(2);
if (flag === "--job") await work(JSON.parse(job!) as Job);
else process.exit(await main());
