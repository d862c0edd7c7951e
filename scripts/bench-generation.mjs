/** `npm run bench:generation`: milliseconds a token with a cache, along a text, beside what memory allows and llama.cpp, on the sources. */
import { install, runSource } from "./tools.mjs";

install();
process.exit(runSource("benchmarks/generation/main.ts", process.argv.slice(2)));
