/**
 * A template is a program of whoever made the checkpoint. It may run for as long as templates need, and make no more than they print. What
 * counts is the run that is going on: one at a time, since nothing in it waits, and the package's interpreter passes nothing on.
 */

/** Steps of a template whatever it is given, and for each character of that. Templates in the wild take some hundred a message. */
const STEPS = 2 ** 19;
const STEPS_A_CHARACTER = 16;
/** What making a text or a list costs. */
const CHARACTERS_A_STEP = 4;
const STEPS_AN_ITEM = 4;
/** Longest text and list that a template may make. */
export const LONGEST_TEXT: number = 2 ** 24;
const LONGEST_LIST = 2 ** 18;

let most = 0;
let left = 0;

/** Runs with as many steps as what the template is given allows. */
export function limited<T>(charactersGiven: number, run: () => T): T {
  const before = [most, left] as const;
  most = left = STEPS + STEPS_A_CHARACTER * charactersGiven;
  try {
    return run();
  } finally {
    [most, left] = before;
  }
}

/** @throws where no steps are left */
export function spend(steps: number): void {
  if ((left -= steps) < 0) throw new Error(`it did not end after ${most} steps`);
}

/** Of a text that is made, or looked through. @throws where it would be longer than any chat */
export function spendText(length: number): void {
  if (!(length <= LONGEST_TEXT)) throw new Error(`it makes a text of more than ${LONGEST_TEXT} characters`);
  spend(Math.ceil(length / CHARACTERS_A_STEP));
}

/** Of a list. @throws where it would be longer than any */
export function spendList(length: number): void {
  if (!(length <= LONGEST_LIST)) throw new Error(`it makes a list of more than ${LONGEST_LIST} items`);
  spend(STEPS_AN_ITEM * length);
}
