/** Milliseconds from some fixed point, as exactly as the platform tells them; 0 where it tells none. */
export function now(): number {
  return (globalThis as { performance?: { now(): number } }).performance?.now() ?? 0;
}
