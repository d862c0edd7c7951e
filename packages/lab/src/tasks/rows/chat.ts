/** The template by which chats are written: the checkpoint's, or a file in its place. */
import type { Tokenizer } from "@lowrank/models";
import { ChatTemplate, loadChatTemplate } from "@lowrank/models/chat";
import { LowrankError } from "@lowrank/tensor";
import { readText } from "../../data/read-file.ts";
import { asInput, InputError } from "../../errors.ts";

/** Templates in the wild have at most some 20,000 characters. */
const LARGEST_TEMPLATE = 2 ** 20;

/**
 * Asked for where a row is a chat.
 * @param from where the checkpoint is, as `loadTokenizer` takes it, and the hub's revision of it
 * @param given path of a template
 */
export async function chatOf(
  from: { readonly where: string; readonly revision?: string },
  tokenizer: Tokenizer,
  given: string | undefined,
): Promise<() => ChatTemplate> {
  const { where, ...revision } = from;
  if (given !== undefined) {
    const tokens = Object.entries(tokenizer.specialTokens).map(([role, token]) => [`${role}_token`, token]);
    const template = asInput(
      () => new ChatTemplate(readText(given, LARGEST_TEMPLATE), Object.fromEntries(tokens) as Record<string, string>),
    );
    return () => template;
  }
  try {
    const template = await loadChatTemplate(where, "default", revision);
    return () => template;
  } catch (error) {
    if (!(error instanceof LowrankError) || error.code !== "FileError")
      return () => {
        throw error;
      };
    return () => {
      throw new InputError(
        `${where}: rows are chats, and the checkpoint has no chat template; give one as chatTemplate: FILE.jinja, or write rows as prompt and completion`,
        { cause: error },
      );
    };
  }
}
