/** `npm run test:fuzz`: damaged files through every reader; `--help` says how to draw one again. */
import { install, runSource } from "./tools.mjs";

install();
process.exit(runSource("packages/lab/test/fuzz/main.ts", process.argv.slice(2)));
