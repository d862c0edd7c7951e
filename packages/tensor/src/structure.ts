/**
 * The state of everything on the host that a trace looks at: which adapters act, whether a module trains, which storage a weight has.
 * A capture remembers the states in which it was found to be right, and is made again in any other.
 *
 * Switches that go to and fro (train, evaluate, train …) come back to the state they left, so that nothing is captured anew for them: each has
 * 64 random bits, and the state holds the sum modulo 2 of those that are on. Every other change makes a state that never was before.
 */
let changes = 0;
let [high, low] = [0, 0];
let switches = 0;

/** Two values, one of them at first. */
export interface StructureSwitch {
  readonly high: number;
  readonly low: number;
}

/** Finalizer of MurmurHash3: a bijection of 32 bits that mixes them well. */
function mix(x: number): number {
  let h = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

export function structureSwitch(): StructureSwitch {
  switches++;
  return { high: mix(switches), low: mix(switches ^ 0x5bd1e995) };
}

/** To be called whenever the switch goes over to its other value. */
export function structureSwitched(which: StructureSwitch): void {
  high ^= which.high;
  low ^= which.low;
}

/**
 * To be called by whatever else changes what a later trace would record: factors, module trees, storage. Values of parameters,
 * live values and inputs are read anew at every run and need no call.
 */
export function structureChanged(): void {
  changes++;
}

export function structureState(): string {
  return `${changes}:${high}:${low}`;
}
