/** Somebody's text inside a message. Control characters are the error's to make printable; length is cut here. */

/** Longest piece of what was given that a message repeats. */
const LONGEST = 80;

export function cut(text: string): string {
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST - 1)}…`;
}

/** A message that others wrote around somebody's text, such as commander's or Node's: what stands in quotes is cut. */
export function cutQuoted(message: string): string {
  return message.replace(/'([^]{81,})'/g, (_, inner: string) => `'${cut(inner)}'`);
}
