/** `npm run bench:tokenizers`: lines a second of the tokenizers, in Node and in headless Chromium, on the sources. */
import { install, runSource } from "./tools.mjs";

install();
process.exit(runSource("benchmarks/tokenizers/main.ts", process.argv.slice(2)));
