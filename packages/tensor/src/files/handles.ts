/** Files that are read again and again while only a few of them are open at once: the shards of a checkpoint may be hundreds. */
import { FormatError } from "../errors.ts";
import type { RandomAccess } from "./random-access.ts";
import type { Files } from "./store.ts";

interface Handle {
  readonly file: Promise<RandomAccess>;
  readers: number;
}

export class Handles {
  readonly #files: Files;
  readonly #most: number;
  /** The one that was read last stands last. */
  readonly #open = new Map<string, Handle>();
  readonly #waiting: (() => void)[] = [];

  constructor(files: Files, most: number) {
    this.#files = files;
    this.#most = most;
  }

  /** A file that is open only while it is read, and until room is needed. */
  async file(name: string): Promise<RandomAccess> {
    const { size } = await this.#with(name, (file) => Promise.resolve(file));
    return {
      size,
      where: `${this.#files.where}/${name}`,
      read: (begin, end) =>
        this.#with(name, (file) => {
          if (file.size !== size)
            throw new FormatError(
              `${this.#files.where}/${name}: has ${file.size} bytes where it had ${size}; it changed while it was read`,
            );
          return file.read(begin, end);
        }),
    };
  }

  async close(): Promise<void> {
    const open = [...this.#open.values()];
    this.#open.clear();
    await Promise.all(open.map(closed));
  }

  async #with<T>(name: string, body: (file: RandomAccess) => Promise<T>): Promise<T> {
    const handle = await this.#take(name);
    try {
      return await body(await handle.file);
    } catch (error) {
      // one that could not be opened is not kept
      if (await failed(handle)) this.#open.delete(name);
      throw error;
    } finally {
      handle.readers--;
      this.#waiting.shift()?.();
    }
  }

  async #take(name: string): Promise<Handle> {
    while (!this.#open.has(name) && this.#open.size >= this.#most) {
      const idle = [...this.#open].find(([, { readers }]) => readers === 0);
      if (idle === undefined) await new Promise<void>((resolve) => this.#waiting.push(resolve));
      else {
        this.#open.delete(idle[0]);
        await closed(idle[1]);
      }
    }
    const handle = this.#open.get(name) ?? { file: this.#files.open(name), readers: 0 };
    handle.readers++;
    this.#open.delete(name);
    this.#open.set(name, handle);
    return handle;
  }
}

function failed({ file }: Handle): Promise<boolean> {
  return file.then(
    () => false,
    () => true,
  );
}

async function closed({ file }: Handle): Promise<void> {
  await file.then(
    (one) => one.close?.(),
    () => {},
  );
}
