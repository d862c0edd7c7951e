/** What a writer gives its sink, as one. */
import type { ByteSink } from "@lowrank/tensor";

export async function written(write: (sink: ByteSink) => Promise<void>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  await write((bytes) => {
    parts.push(bytes.slice());
  });
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
