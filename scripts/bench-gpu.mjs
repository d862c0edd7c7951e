/** `npm run bench:gpu -- [--out FILE] …`: checks and times the engine on this machine's GPU, on the sources. */
import { install, runSource } from "./tools.mjs";

install();
process.exit(runSource("benchmarks/gpu/gpu.ts", process.argv.slice(2)));
