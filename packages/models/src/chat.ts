/**
 * @module
 * Chats as the text that a model was trained on, by the template of its checkpoint. Apart from `@lowrank/models`, so that only who uses it
 * bundles the interpreter of templates.
 */
export { loadChatTemplate } from "./tokenizer/chat/load.ts";
export { ChatTemplate } from "./tokenizer/chat/template.ts";
export type { ChatEncoding, ChatMessage, ChatOptions } from "./tokenizer/chat/template.ts";
