/**
 * One counter of everything on the host that a trace looks at: which adapters act, whether a module trains, which storage a weight has.
 * A capture remembers the count that it was made at, and is made again when it has moved on.
 */
let changes = 0;

/**
 * To be called by whatever changes what a later trace would record: switches, factors, module trees, storage. Values of parameters,
 * live values and inputs are read anew at every run and need no call.
 */
export function structureChanged(): void {
  changes++;
}

export function structureVersion(): number {
  return changes;
}
