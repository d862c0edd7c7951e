/** `lowrank pretrain mlm` and `clm`: from texts to a Hugging Face folder. */
import { join, resolve } from "node:path";
import { isSet } from "../config/overrides.ts";
import { dataFolder } from "../data/location.ts";
import { InputError } from "../errors.ts";
import { loadPretrainConfig } from "../pretrain/config.ts";
import { pretrain } from "../pretrain/pretrain.ts";
import { captureEnvironment } from "../store/environment.ts";
import { codeVersion } from "../store/identity.ts";
import { formatCount, formatDuration } from "../text/format.ts";
import { progressMode } from "../text/progress.ts";
import { openDevice } from "./device.ts";
import type { DeviceChoice } from "./options.ts";
import { EXIT_OK } from "./outcome.ts";
import { untilSignal } from "./signals.ts";

export interface PretrainOptions {
  readonly data?: string;
  readonly out: string;
  readonly config: string;
  readonly set?: string[];
  readonly minutes?: number;
  readonly device: DeviceChoice;
  readonly threads?: number;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export type PretrainObjective = "mlm" | "clm";

export async function pretrainCommand(objective: PretrainObjective, options: PretrainOptions): Promise<number> {
  if (options.minutes !== undefined && isSet(options.set ?? [], "train.steps"))
    throw new InputError("--minutes and --set train.steps=… contradict: the time decides how many steps there are");
  const config = loadPretrainConfig(options.config, options.set ?? [], objective);
  const out = resolve(options.out);
  const device = await openDevice(options);
  try {
    const outcome = await untilSignal((stop) =>
      pretrain(config, {
        objective,
        device,
        out,
        stop,
        dataFolder: dataFolder(options.data),
        cacheFolder: join(out, ".cache"),
        minutes: options.minutes,
        machine: captureEnvironment(codeVersion(), device.info(), options.threads ?? null),
        progress: progressMode(options.quiet ?? false),
        say: (line) => void (options.quiet === true || process.stderr.write(`${line}\n`)),
      }),
    );
    if (options.json === true) process.stdout.write(`${JSON.stringify(outcome, null, 2)}\n`);
    else {
      const { steps, tokens, seconds, heldOutLoss, parameters } = outcome;
      process.stdout.write(
        `${formatCount(parameters)} parameters, ${formatCount(steps)} steps, ${formatCount(tokens)} tokens, ${formatDuration(seconds)}, held-out loss ${heldOutLoss.toFixed(4)}\ncheckpoint: ${out}\n`,
      );
    }
    return EXIT_OK;
  } finally {
    device.close();
  }
}
