/** Somebody's text inside a message. Control characters are the error's to make printable; length is cut here. */

/** Longest piece of what was given that a message repeats. */
const LONGEST = 80;

export function cut(text: string): string {
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST - 1)}…`;
}

/** Longest name in a table. */
const LONGEST_NAME = 60;
/** A run's seed and identity stand at its end. */
const NAME_END = 20;

/** A run's name in a table: a longer one loses its middle, and not what tells it from others. */
export function cutName(name: string): string {
  if (name.length <= LONGEST_NAME) return name;
  return `${name.slice(0, LONGEST_NAME - NAME_END - 1)}…${name.slice(-NAME_END)}`;
}

/** A message that others wrote around somebody's text, such as commander's or Node's: what stands in quotes is cut. */
export function cutQuoted(message: string): string {
  return message.replace(/'([^]{81,})'/g, (_, inner: string) => `'${cut(inner)}'`);
}
