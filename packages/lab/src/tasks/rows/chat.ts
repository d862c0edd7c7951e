/** The template by which chats are written: the checkpoint's, or one in its place. Its interpreter is loaded where a task may need it. */
import type { LocateOptions, Tokenizer, Where } from "@lowrank/models";
import type { ChatTemplate } from "@lowrank/models/chat";
import { LowrankError } from "@lowrank/tensor";
import { asInput, InputError } from "../../errors.ts";
import type { EncodeContext, RowTask } from "../../records/row-task.ts";

export interface ChatSource {
  /** Where the tokenizer is, as `loadTokenizer` takes it. */
  readonly from: Where;
  readonly at?: LocateOptions | undefined;
  readonly tokenizer: Tokenizer;
  /** Text of a template in place of the checkpoint's. */
  readonly given?: string | undefined;
}

/** What `encode` is given where rows may be chats. @throws InputError for a given template that is none */
export async function chatOf(
  { chats }: Pick<RowTask, "chats">,
  { from, at = {}, tokenizer, given }: ChatSource,
): Promise<EncodeContext["chat"]> {
  if (chats !== true) return undefined;
  const { ChatTemplate: Template, loadChatTemplate } = await import("@lowrank/models/chat");
  if (given !== undefined) {
    const tokens = Object.entries(tokenizer.specialTokens).map(([role, token]) => [`${role}_token`, token]);
    const template = asInput(() => new Template(given, Object.fromEntries(tokens) as Record<string, string>));
    return () => template;
  }
  try {
    const template = await loadChatTemplate(from, "default", at);
    return () => template;
  } catch (error) {
    // it may be that no row is a chat
    return () => refused(error);
  }
}

function refused(error: unknown): ChatTemplate {
  if (!(error instanceof LowrankError) || error.code !== "FileError") throw error;
  const [where] = error.message.split(": there is no chat template");
  throw new InputError(
    `${where}: rows are chats, and the checkpoint has no chat template; give one as chatTemplate: FILE.jinja, or write rows as prompt and completion`,
    { cause: error },
  );
}
