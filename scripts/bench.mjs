/** `npm run bench -- [--json FILE] [--filter REGEX] [--threads N]`: the benchmark suites on the sources. */
import { install, runSource } from "./tools.mjs";

install();
process.exit(runSource("benchmarks/src/main.ts", process.argv.slice(2)));
