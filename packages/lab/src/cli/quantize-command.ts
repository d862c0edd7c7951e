/** `lowrank quantize`: a checkpoint in fewer bits. */
import { quantizeTo } from "../exports/quantize.ts";
import { say, working, type LeavingOptions } from "./export-command.ts";
import { EXIT_OK } from "./outcome.ts";

export interface QuantizeOptions extends Pick<
  LeavingOptions,
  "revision" | "out" | "force" | "device" | "threads" | "json" | "quiet"
> {
  readonly to: string;
}

export async function quantizeCommand(source: string, options: QuantizeOptions): Promise<number> {
  const { revision, to, out, force = false, json = false } = options;
  const { bytes, notes } = await working(options, async (device, step) =>
    quantizeTo({ source, revision, to, out, force }, device, step),
  );
  const megabytes = (count: number): string => `${(count / 1e6).toFixed(1)} MB`;
  const size = bytes === null ? "" : `, ${megabytes(bytes.after)} instead of ${megabytes(bytes.before)} in f32`;
  say({ to, out, bytes, notes }, [`${out}: ${to}${size}`, ...notes.map((note) => `note: ${note}`)], json);
  return EXIT_OK;
}
