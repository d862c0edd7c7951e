/** A file store in memory. */
import { fromBytes, type ByteSink, type RandomAccess, type WritableFiles } from "@lowrank/tensor";

export class MemoryFiles implements WritableFiles {
  readonly where = "memory";
  readonly content: Map<string, Uint8Array>;
  constructor(content: Iterable<readonly [string, Uint8Array]> = []) {
    this.content = new Map(content);
  }
  exists(name: string): Promise<boolean> {
    return Promise.resolve(this.content.has(name));
  }
  text(name: string): Promise<string> {
    return Promise.resolve(new TextDecoder().decode(this.content.get(name)));
  }
  open(name: string): Promise<RandomAccess> {
    return Promise.resolve(fromBytes(this.content.get(name)!));
  }
  async write(name: string, produce: (sink: ByteSink) => Promise<void>): Promise<void> {
    const parts: Uint8Array[] = [];
    await produce((bytes) => {
      parts.push(bytes.slice());
    });
    this.content.set(name, Buffer.concat(parts));
  }
}
