/** What `lowrank run` may be told. */
import type { CheckpointOptions } from "./checkpoint-options.ts";
import type { DeviceChoice } from "./options.ts";

export interface RunOptions extends CheckpointOptions {
  readonly data?: string;
  readonly out?: string;
  readonly results?: string;
  readonly base?: string;
  readonly revision?: string;
  readonly memory?: number;
  readonly configs?: string[];
  readonly tasks?: string[];
  readonly seeds?: number[];
  readonly set?: string[];
  readonly device: DeviceChoice;
  readonly threads?: number;
  readonly dryRun?: boolean;
  readonly reuse?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly detectAnomaly?: boolean;
  readonly plugin?: string[];
  readonly sink?: string[];
  readonly executor?: string;
  readonly jobs?: number;
  readonly redis?: string;
}
