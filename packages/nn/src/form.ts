/** What makes forms of weights may be anybody's: what it gives is looked at while it loads, not when a layer first reads it. */
import { LowrankError, ShapeError } from "@lowrank/tensor";
import { callback, checkOptions, having, listOf, name, real, whole, type Rule } from "@lowrank/tensor/check";
import type { WeightForm } from "./weight.ts";

const FORM: Rule<WeightForm> = having<WeightForm>("the form of a weight (a WeightForm)", {
  kind: name,
  bytes: real({ min: 0 }),
  value: callback(),
  dispose: callback(),
});
const VALUE = having<{ readonly shape: readonly number[] }>("a tensor", { shape: listOf(whole(0)) });

/**
 * Builds the node of the value, which computes nothing, to see its shape. A form that is refused is disposed.
 * @param what the weight and where its form is from, for messages
 * @throws LowrankError: ConfigError where it is no form, ShapeError where its value has another shape than the weight, or cannot be built
 */
export function checkForm(what: string, given: unknown, shape: readonly number[]): WeightForm {
  const form = checkOptions(what, FORM, given);
  try {
    const value = checkOptions(`${what}: value()`, VALUE, valueOf(what, form));
    if (value.shape.join() !== shape.join())
      throw new ShapeError(
        `${what}: its value is [${value.shape.join(", ")}], the weight is [${shape.join(", ")}]; give value() the weight's shape`,
      );
  } catch (error) {
    form.dispose();
    throw error;
  }
  return form;
}

function valueOf(what: string, form: WeightForm): unknown {
  try {
    return form.value();
  } catch (error) {
    if (!(error instanceof LowrankError)) throw error;
    throw new LowrankError(error.code, `${what}: its value cannot be built: ${error.message}`, { cause: error });
  }
}
