/** The methods there are. A method is one file beside this one and a line in the list; programs add theirs with `registerMethod`. */
import { LowrankError, quote } from "@lowrank/tensor";
import { checkOptions, nearestName, optional } from "@lowrank/tensor/check";
import type { LoraConfig } from "../lora/config.ts";
import { adalora } from "./adalora.ts";
import { dora } from "./dora.ts";
import { ia3, type Ia3Config } from "./ia3.ts";
import { lora } from "./lora.ts";
import { A_METHOD, METHOD } from "./method-rule.ts";
import type { AdapterConfig, Method, OptionsOf } from "./method.ts";
import { vera, type VeraConfig } from "./vera.ts";

const methods: Method[] = [
  // those that add to a weight
  lora,
  dora,
  adalora,
  vera,
  // those that scale it
  ia3,
];

/** Options of the methods that are built in, or a complete configuration of any. */
export type AdapterOptions = OptionsOf<LoraConfig> | OptionsOf<Ia3Config> | OptionsOf<VeraConfig> | AdapterConfig;

/**
 * Adds a method: options may name it, and files with its `peftType` are read as its.
 * @throws LowrankError (ConfigError) naming what the record lacks, and where its name is taken, or its files are another's
 */
export function registerMethod<C extends AdapterConfig>(method: Method<C>): void {
  const record = checkOptions("registerMethod", METHOD, method);
  if (methods.includes(record)) return;
  const { name, peftType, claims } = record;
  if (methods.some((other) => other.name === name))
    throw new LowrankError(
      "ConfigError",
      `registerMethod: there is a method ${quote(name)} already; give this one another name`,
    );
  const rival = methods.find((other) => other.peftType === peftType && other.claims === undefined);
  if (claims === undefined && rival !== undefined)
    throw new LowrankError(
      "ConfigError",
      `registerMethod: files with peft_type ${quote(peftType)} are ${rival.label}'s; give ${quote(name)} a peftType of its own, or say with "claims" which of these are its`,
    );
  methods.push(record);
}

/** Whose a file is, by its `peft_type` and what else the methods look at. */
export function methodOfFile(source: Readonly<Record<string, unknown>>): Method | undefined {
  const candidates = methods.filter(({ peftType }) => peftType === source["peft_type"]);
  return (
    candidates.find(({ claims }) => claims?.(source) === true) ?? candidates.find(({ claims }) => claims === undefined)
  );
}

/** Every method there is, those of `registerMethod` among them. */
export function adapterMethods(): readonly Method[] {
  return [...methods];
}

/** Words that `peft_type` may be. */
export function peftTypes(): string[] {
  return [...new Set(methods.map(({ peftType }) => peftType))];
}

/** Whether a tensor of a file is some method's part of a module. */
export function isAdapterTensor(name: string): boolean {
  return methods.some(({ tensors }) => tensors.test(name));
}

function methodOfOptions(options: Readonly<Record<string, unknown>>): Method {
  const at = { source: "adapter options", path: ["method"], code: "ConfigError" } as const;
  const named = optional(A_METHOD).read(options["method"], at);
  const given = typeof named === "string" ? methodNamed(named) : named;
  const meant = methods.filter((method) => method.meantBy?.(options) === true);
  if (given !== undefined) {
    const other = meant.find((method) => method !== given);
    if (other === undefined) return given;
    throw new LowrankError(
      "ConfigError",
      `the options name method ${quote(given.name)} and are ${other.label}'s; choose one of the two`,
    );
  }
  if (meant.length > 1)
    throw new LowrankError(
      "ConfigError",
      `the options are those of ${meant.map(({ label }) => label).join(" and ")}; choose one of the two`,
    );
  return meant[0] ?? lora;
}

function methodNamed(name: string): Method {
  const found = methods.find((method) => method.name === name);
  if (found !== undefined) return found;
  const names = methods.map((method) => method.name);
  const near = nearestName(name, names);
  throw new LowrankError(
    "ConfigError",
    `there is no adapter method ${quote(name)}; ${near === undefined ? `there are ${names.join(", ")}` : `did you mean "${near}"?`}`,
  );
}

/**
 * A complete configuration out of options: the method that they name (default LoRA; `dora: true` and `adaLora` name theirs) checks them
 * and fills them in.
 * @throws LowrankError (ConfigError) naming the option
 */
export function adapterConfig(options: AdapterOptions = {}): AdapterConfig {
  // what is no object is for the method's own check to refuse
  const method = typeof options !== "object" || options === null ? lora : methodOfOptions(options as never);
  return method.defaults(options);
}
