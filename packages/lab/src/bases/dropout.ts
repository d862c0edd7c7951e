/** Dropout of a base itself. A checkpoint brings its own; a config may say another, as a comparison without any does. */
import { Dropout, type Module } from "@lowrank/nn";

/** Every place where the model drops something. */
export function dropoutsOf(model: Module): Dropout[] {
  return [...model.namedModules()].flatMap(([, module]) => (module instanceof Dropout ? [module] : []));
}

/** @param p of all of them; undefined leaves each as it is */
export function setDropout(model: Module, p: number | undefined): void {
  if (p !== undefined) for (const dropout of dropoutsOf(model)) dropout.p = p;
}
