/** `npm run bench:six`: memory and time of the study's six configurations at BERT-base's shape, on the sources. */
import { install, runSource } from "./tools.mjs";

install();
process.exit(runSource("benchmarks/six/main.ts", process.argv.slice(2)));
