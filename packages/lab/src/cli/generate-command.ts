/** `lowrank generate`: texts of a causal model, in one go or in a conversation in which adapters can be switched. */
import { join } from "node:path";
import { createInterface } from "node:readline";
import {
  directory,
  fromPretrained,
  loadTokenizer,
  textEnds,
  TextGenerator,
  type PretrainedModel,
  type TextOptions,
} from "@lowrank/models";
import { loadChatTemplate, type ChatMessage, type ChatTemplate } from "@lowrank/models/chat";
import { activate, loadAdapter } from "@lowrank/peft";
import { LowrankError, type Device } from "@lowrank/tensor";
import { statOf } from "../data/read-file.ts";
import { asInput, InputError } from "../errors.ts";
import { breather } from "../text/breath.ts";
import { openDevice } from "./device.ts";
import type { DeviceChoice } from "./options.ts";
import { describeFailure, EXIT_OK } from "./outcome.ts";

export interface GenerateOptions {
  readonly adapter?: string;
  readonly chat?: boolean;
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly seed?: number;
  readonly stop?: readonly string[];
  readonly device: DeviceChoice;
  readonly threads?: number;
  readonly json?: boolean;
}

export async function generateCommand(
  from: string,
  prompt: string | undefined,
  options: GenerateOptions,
): Promise<number> {
  const device = await openDevice(options);
  try {
    const writer = await asInput(() => open(from, device, options));
    if (prompt !== undefined) await writer.write(prompt);
    else if (process.stdin.isTTY) await converse(writer);
    else await writer.write(await wholeInput());
    return EXIT_OK;
  } finally {
    device.close();
  }
}

async function open(from: string, device: Device, options: GenerateOptions): Promise<Writer> {
  const { model } = await fromPretrained(from, { device, task: "CAUSAL_LM" });
  const tokenizer = await loadTokenizer(from);
  const eos = await textEnds(from);
  const template = options.chat === true ? await loadChatTemplate(from) : undefined;
  const { maxTokens, temperature, topK, topP, minP, repetitionPenalty, seed, stop } = options;
  const adapters = new Adapters(model, device);
  if (options.adapter !== undefined) await adapters.use(options.adapter);
  return new Writer(new TextGenerator(model, tokenizer), adapters, {
    template,
    json: options.json === true,
    sampling: { maxNewTokens: maxTokens, temperature, topK, topP, minP, repetitionPenalty, seed, stop, eos },
  });
}

/** Adapters of folders, loaded when they are first asked for; one of them acts, or none. */
class Adapters {
  readonly #model: PretrainedModel;
  readonly #device: Device;
  readonly #loaded = new Map<string, string>();
  /** The folder of the one that acts. */
  active: string | undefined;

  constructor(model: PretrainedModel, device: Device) {
    this.#model = model;
    this.#device = device;
  }

  async use(folder: string | undefined): Promise<void> {
    if (folder !== undefined && !this.#loaded.has(folder)) {
      const name = `adapter${this.#loaded.size + 1}`;
      const { warnings } = await loadAdapter(this.#model, directory(adapterIn(folder)), { device: this.#device, name });
      for (const warning of warnings) process.stderr.write(`${folder}: ${warning}\n`);
      this.#loaded.set(folder, name);
    }
    if (this.#loaded.size > 0) activate(this.#model, ...(folder === undefined ? [] : [this.#loaded.get(folder)!]));
    this.#model.eval();
    this.active = folder;
  }
}

/** The folder itself, or the adapter in that of a training or a run. */
function adapterIn(folder: string): string {
  const inside = join(folder, "adapter");
  const has = (path: string): boolean => statOf(join(path, "adapter_config.json")) !== undefined;
  return !has(folder) && has(inside) ? inside : folder;
}

interface Manner {
  readonly template: ChatTemplate | undefined;
  readonly json: boolean;
  readonly sampling: TextOptions;
}

/** Writes one text after the other, with all that was said before where it is a chat. */
export class Writer {
  readonly adapters: Pick<Adapters, "active" | "use">;
  readonly #generator: Pick<TextGenerator, "text">;
  readonly #manner: Manner;
  #messages: ChatMessage[] = [];
  /** With which adapter the turns so far were read; undefined before the first. */
  #readWith: { readonly adapter: string | undefined } | undefined;

  constructor(generator: Pick<TextGenerator, "text">, adapters: Pick<Adapters, "active" | "use">, manner: Manner) {
    this.#generator = generator;
    this.adapters = adapters;
    this.#manner = manner;
  }

  reset(): void {
    [this.#messages, this.#readWith] = [[], undefined];
  }

  async write(prompt: string, signal?: AbortSignal): Promise<void> {
    const { template, json, sampling } = this.#manner;
    const said: ChatMessage[] = [...this.#messages, { role: "user", content: prompt }];
    const input = template === undefined ? prompt : { messages: said as never[], template: template as never };
    const { active } = this.adapters;
    // what was read so far is read, unless another adapter read it
    const continues = template !== undefined && this.#readWith?.adapter === active && this.#readWith !== undefined;
    this.#readWith = { adapter: active };
    const started = performance.now();
    const stream = this.#generator.text(input, { ...sampling, signal, continues });
    const breathe = breather();
    let text = "";
    try {
      for await (const piece of stream) {
        text += piece;
        if (!json) process.stdout.write(piece);
        // keys that are pressed meanwhile
        await breathe();
      }
    } catch (error) {
      if (signal?.aborted !== true) throw typed(error);
    }
    this.#messages = [...said, { role: "assistant", content: text }];
    if (!json) return void process.stdout.write("\n");
    const { tokens, finish, seed } = signal?.aborted === true ? STOPPED : await stream.result();
    const ms = Math.round(performance.now() - started);
    process.stdout.write(`${JSON.stringify({ prompt, text, finish, seed, adapter: active, tokens, ms })}\n`);
  }
}

/** In the words of the command, what a model says of its options: how many tokens there is room for is known only once the prompt is read. */
function typed(error: unknown): unknown {
  if (!(error instanceof LowrankError) || error.kind !== "input" || !error.message.includes("maxNewTokens"))
    return error;
  const words = error.message.replace(/^generate: /, "").replaceAll("maxNewTokens", "--max-tokens");
  return new InputError(words, { cause: error });
}

/** Of a text that somebody stopped. */
const STOPPED = { finish: "stopped", tokens: undefined, seed: undefined } as const;

async function wholeInput(): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of process.stdin) parts.push(part as Buffer);
  // the newline that ends a line of a shell is none of the prompt
  return Buffer.concat(parts)
    .toString("utf8")
    .replace(/\r?\n$/, "");
}

/** Where lines come from, and where what is no text goes. */
export interface Terminal {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
}

/**
 * Line by line, until the input ends. What is wrong with one line is said, and the next one is read. Control-C stops the text that is being written; else it
 * clears the line, and leaves where there was nothing to clear twice in a row, as Node's own prompt does.
 */
export async function converse(
  writer: Pick<Writer, "adapters" | "reset" | "write">,
  { input, output }: Terminal = { input: process.stdin, output: process.stderr },
): Promise<void> {
  const lines = createInterface({ input, output, terminal: true, prompt: "> " });
  let writing: AbortController | undefined;
  let [leaving, closed] = [false, false];
  lines.on("SIGINT", () => {
    if (writing !== undefined) return writing.abort(new Error("stopped"));
    const empty = lines.line === "";
    if (empty && leaving) return lines.close();
    leaving = empty;
    output.write(empty ? "\n(Control-C again ends, and so do Control-D and /quit)\n" : "\n");
    // to the end of the line, and what is before it
    lines.write(null, { ctrl: true, name: "e" });
    lines.write(null, { ctrl: true, name: "u" });
    lines.prompt();
  });
  lines.on("close", () => {
    closed = true;
    writing?.abort(new Error("stopped"));
  });
  lines.prompt();
  for await (const line of lines) {
    leaving = false;
    if (/^\/quit\s*$/.test(line)) break;
    writing = new AbortController();
    try {
      await answer(writer, line, writing.signal);
    } catch (error) {
      if (!(error instanceof LowrankError)) throw error;
      output.write(`${describeFailure(error).line}\n`);
    }
    writing = undefined;
    if (closed) break;
    lines.prompt();
  }
  lines.close();
}

/** One line of a conversation: a command, or a prompt. */
export async function answer(
  writer: Pick<Writer, "adapters" | "reset" | "write">,
  line: string,
  signal?: AbortSignal,
): Promise<void> {
  const [, command, rest] = /^\/(\w+)\s*(.*?)\s*$/.exec(line) ?? [];
  if (command === undefined) {
    if (line.trim() !== "") await writer.write(line, signal);
    return;
  }
  switch (command) {
    case "adapter":
      return asInput(() => writer.adapters.use(rest === "" ? undefined : rest));
    case "reset":
      return writer.reset();
    default:
      throw new InputError(`/${command}: there are /adapter DIR, /reset and /quit`);
  }
}
