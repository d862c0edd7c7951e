/** Target names as PEFT shortens them when it loads or saves: fewer names that take the same modules and no other. */

/** PEFT leaves shorter lists as they are. */
const FROM = 20;

/**
 * Each target in the order of its dotted suffixes, shortest first, adds its shortest suffix that no other module ends with, unless one
 * already taken covers it.
 * @param targets whole paths
 * @param all paths of every module of the plain model
 */
export function shortestNames(targets: readonly string[], all: readonly string[]): readonly string[] {
  if (targets.length < FROM) return targets;
  const wanted = new Set(targets);
  // names that are suffixes already are somebody's own choice
  if (!targets.every((name) => all.includes(name))) return targets;
  const others = new Set(all.filter((path) => !wanted.has(path)).flatMap(suffixes));
  const taken = new Set<string>();
  const ordered = targets.map(suffixes).sort((a, b) => compare(a, b));
  for (const own of ordered) {
    if (own.some((suffix) => taken.has(suffix))) continue;
    const shortest = own.find((suffix) => !others.has(suffix));
    if (shortest !== undefined) taken.add(shortest);
  }
  return taken.size > 0 && taken.size < targets.length ? [...taken] : targets;
}

function suffixes(path: string): string[] {
  const parts = path.split(".");
  return parts.map((_, i) => parts.slice(parts.length - 1 - i).join("."));
}

function compare(a: readonly string[], b: readonly string[]): number {
  for (let i = 0; i < a.length && i < b.length; i++) if (a[i] !== b[i]) return a[i]! < b[i]! ? -1 : 1;
  return a.length - b.length;
}
