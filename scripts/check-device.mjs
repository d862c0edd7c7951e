/** `npm run check:device -- [--device NAME]`: does a device compute what it should? `--help` says more. */
import { install, runSource } from "./tools.mjs";

install();
process.exit(runSource("packages/numerics/test/check-device.main.ts", process.argv.slice(2)));
