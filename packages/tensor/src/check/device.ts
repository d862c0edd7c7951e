/** A device in an option object. Told by its parts and not by its class, which would bring the engine into every bundle that checks an option. */
import type { Device } from "../device.ts";
import { leaf, type Rule } from "./rules.ts";

export const device: Rule<Device> = leaf(
  "a device, which init() gives",
  (v) => typeof v === "object" && v !== null && "engine" in v && "defaultFloat" in v,
);
