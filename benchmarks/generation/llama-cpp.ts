/** llama.cpp on the same file, by node-llama-cpp, which nothing here depends on. */
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promptOf, readingOf, type Reading } from "./timing.ts";

interface Sequence {
  clearHistory(): Promise<void>;
  evaluate(ids: readonly number[], options: object): AsyncIterable<unknown>;
}
interface Context {
  getSequence(): Sequence;
}
interface Llama {
  readonly llamaCppRelease: { readonly release: string };
  loadModel(options: object): Promise<{ createContext(options: object): Promise<Context> }>;
  dispose(): Promise<void>;
}

export interface Theirs {
  readonly release: string;
  read(length: number): Promise<Reading>;
  close(): Promise<void>;
}

/** @param folder where node-llama-cpp is installed */
export async function llamaCpp(folder: string, gguf: string, threads: number): Promise<Theirs> {
  const entry = createRequire(join(folder, "package.json")).resolve("node-llama-cpp");
  const { getLlama } = (await import(pathToFileURL(entry).href)) as { getLlama(options: object): Promise<Llama> };
  const llama = await getLlama({ gpu: false, build: "never", logLevel: "error", progressLogs: false });
  const model = await llama.loadModel({ modelPath: gguf });
  const sequence = (await model.createContext({ contextSize: 1024, threads })).getSequence();
  return {
    release: llama.llamaCppRelease.release,
    async read(length) {
      await sequence.clearHistory();
      return readingOf(sequence.evaluate(promptOf(length), { temperature: 0, yieldEogToken: true }));
    },
    close: () => llama.dispose(),
  };
}
