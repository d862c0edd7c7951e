/** Records of methods from outside are looked at where they are given: one line names what is missing. */
import { LowrankError } from "@lowrank/tensor";
import { Linear, Module } from "@lowrank/nn";
import { expect, it } from "vitest";
import { adapterConfig, attach, lora, registerMethod } from "../src/index.ts";

class Net extends Module {
  readonly up = new Linear(4, 4, { bias: false });
}

function refused(body: () => unknown, message: string): void {
  let error: unknown;
  try {
    body();
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(LowrankError);
  expect((error as LowrankError).code).toBe("ConfigError");
  expect((error as LowrankError).message).toContain(message);
}

it.each<[unknown, string]>([
  [null, "registerMethod: must be the record of an adapter method (a Method), got null"],
  [undefined, "registerMethod: is missing; it must be the record of an adapter method"],
  ["lora", 'registerMethod: must be the record of an adapter method (a Method), got "lora"'],
  [{}, 'registerMethod: "name" is missing; it must be a string that is not empty'],
  [{ ...lora, name: "own", file: {} }, 'registerMethod: "file.className" is missing'],
  [{ ...lora, name: "own", tensors: "lora_A" }, 'registerMethod: "tensors" must be a RegExp, got "lora_A"'],
  [{ ...lora, name: "own", targets: "lroa" }, 'registerMethod: "targets" must be one of "lora", '],
  [{ ...lora, name: "own", make: undefined }, 'registerMethod: "make" is missing; it must be a function'],
])("a method without its parts is refused by name, and not registered: %#", (record, message) => {
  refused(() => registerMethod(record as never), message);
  refused(() => adapterConfig({ method: "ia33" }), 'there is no adapter method "ia33"; did you mean "ia3"?');
});

it.each<[unknown, string]>([
  [null, 'adapter options: "method" must be the name of an adapter method or its record, got null'],
  [5, 'adapter options: "method" must be the name of an adapter method or its record, got 5'],
  [{}, 'adapter options: "method.name" is missing; it must be a string that is not empty'],
  [{ name: "lora" }, 'adapter options: "method.label" is missing; it must be a string that is not empty'],
])("what an option cannot name as a method is refused: %#", (method, message) => {
  refused(() => attach(new Net(), { method, targetModules: ["up"] } as never), message);
});

it("a record may be an instance of a class", () => {
  const method = Object.create(lora) as typeof lora;
  expect(adapterConfig({ method, r: 3 })).toMatchObject({ r: 3 });
});
