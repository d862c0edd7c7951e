/** `npm run test:fuzz [-- --inputs N] [--seed N] [--format NAME] [--first N]`: a hundred thousand damaged files, spread over every format that is read. */
import { FORMATS } from "./formats.ts";
import { fuzz } from "./judge.ts";

const args = process.argv.slice(2);
const option = (name: string): string | undefined => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined);
if (args.includes("--help")) {
  process.stdout.write(
    "npm run test:fuzz -- [--inputs N] [--seed N] [--format NAME] [--first N]\n\nExamples:\n  npm run test:fuzz\n  npm run test:fuzz -- --seed 7 --format config.json --first 1234 --inputs 1    # one input again\n",
  );
  process.exit(0);
}
const seed = Number(option("--seed") ?? Date.now() % 2 ** 31);
const count = Number(option("--inputs") ?? 100_000);
const only = option("--format");
const formats = FORMATS.filter(({ name }) => only === undefined || name === only);
if (formats.length === 0 || !Number.isSafeInteger(seed) || !Number.isSafeInteger(count)) {
  process.stderr.write(
    `test:fuzz: there are the formats ${FORMATS.map(({ name }) => name).join(", ")}; --seed and --inputs take whole numbers\n`,
  );
  process.exit(2);
}
process.stderr.write(`seed ${seed}, ${count} inputs over ${formats.length} formats\n`);
const started = performance.now();
let shown = started;
const { tallies, findings } = await fuzz(formats, {
  seed,
  count,
  first: Number(option("--first") ?? 0),
  progress: (done) => {
    if (performance.now() - shown < 10_000) return;
    shown = performance.now();
    process.stderr.write(`${done} of ${count}, ${Math.round((shown - started) / 1000)} s\n`);
  },
});
for (const { format, inputs, taken, refused, slowest, bytes } of tallies)
  process.stdout.write(
    `${format}: ${inputs} inputs, ${taken} taken, ${refused} refused, slowest ${slowest.toFixed(1)} ms, largest growth ${(bytes / 2 ** 20).toFixed(1)} MB\n`,
  );
for (const { format, index, what, input } of findings.slice(0, 50))
  process.stdout.write(`FINDING ${format} --seed ${seed} --first ${index}: ${what}\n  ${JSON.stringify(input)}\n`);
process.stdout.write(
  `${count - findings.length} passed, ${findings.length} failed, 0 skipped (seed ${seed}, ${Math.round((performance.now() - started) / 1000)} s)\n`,
);
process.exit(findings.length === 0 ? 0 : 1);
