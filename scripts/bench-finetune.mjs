/** `npm run -s bench:finetune -- --python PATH --base DIR --data FILE`: fine-tuning on a table beside PyTorch and PEFT. */
import { join } from "node:path";
import { install, root, run } from "./tools.mjs";

install();
process.exit(run(process.execPath, [join(root, "benchmarks/peers/finetune/main.mjs"), ...process.argv.slice(2)]));
