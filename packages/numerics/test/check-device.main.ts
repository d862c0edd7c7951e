/** `npm run check:device [-- --device NAME] [--runs N] [--seed N] [--json]`: the whole suite on one device, as a table or as data. */
import { init, type DeviceName } from "@lowrank/tensor";
import { checkDevice, formatDeviceReport } from "../src/index.ts";

const args = process.argv.slice(2);
const option = (name: string): string | undefined => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined);
if (args.includes("--help")) {
  process.stdout.write(
    "npm run check:device -- [--device wasm|webgpu|interpreter] [--runs N] [--seed N] [--json]\n\nExamples:\n  npm run check:device\n  npm run check:device -- --device webgpu --runs 20\n",
  );
  process.exit(0);
}
const [runs, seed] = [Number(option("--runs") ?? 8), Number(option("--seed") ?? 1)];
if (!Number.isSafeInteger(runs) || runs < 1 || !Number.isSafeInteger(seed)) {
  process.stderr.write("check:device: --runs takes a whole number of at least 1, --seed a whole number\n");
  process.exit(2);
}
const name = option("--device");
const device = await init(name === undefined ? {} : { device: name as DeviceName });
const report = await checkDevice(device, {
  runs,
  seed,
  onOp: ({ op, failures }) => failures.length > 0 && process.stderr.write(`${op}: WRONG\n`),
});
device.close();
process.stdout.write(`${args.includes("--json") ? JSON.stringify(report, null, 2) : formatDeviceReport(report)}\n`);
process.exit(report.passed ? 0 : 1);
