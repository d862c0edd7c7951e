/** A text from a model in one call. */
import type { PretrainedModel } from "../pretrained.ts";
import type { Tokenizer } from "../tokenizer/options.ts";
import { TextGenerator, type Prompt, type Stream, type Written } from "./generator.ts";
import type { TextOptions } from "./options.ts";

/**
 * Goes on from a prompt: iterate for pieces of text as they come, or await `result()`. Who writes more than one text keeps a `TextGenerator`, which keeps
 * plans and cache.
 *
 *     for await (const piece of generate(model, tokenizer, "Once upon a time", { maxNewTokens: 50 })) process.stdout.write(piece);
 *
 * Words are the likeliest ones, unless something is said about drawing them (`temperature`, `topK`, `topP`, `minP`, `seed`, `sample`).
 * A text ends at the tokenizer's `eos` token, or at `eos`; nothing is read from a checkpoint's generation_config.json.
 * @throws LowrankError (ConfigError) as `TextGenerator.text`
 */
export function generate(
  model: PretrainedModel,
  tokenizer: Tokenizer,
  prompt: Prompt,
  options: TextOptions = {},
): Stream<string, Written> {
  const generator = new TextGenerator(model, tokenizer);
  const writing = generator.text(prompt, options);
  const close = (): void => {
    generator.dispose();
  };
  return {
    async *[Symbol.asyncIterator]() {
      try {
        yield* writing;
      } finally {
        close();
      }
    },
    async result() {
      try {
        return await writing.result();
      } finally {
        close();
      }
    },
  };
}
