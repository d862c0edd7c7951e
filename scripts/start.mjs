/** `npm start`: installs, builds, and runs the demonstration study. */
import { build, follow, install, say } from "./tools.mjs";

install();
if (build() !== 0) {
  say("building failed; the messages above say where");
  process.exit(1);
}
process.exitCode = await follow(process.execPath, [
  "packages/lab/dist/cli.js",
  "run",
  "demo",
  "--out",
  "runs/demo",
  ...process.argv.slice(2),
]);
