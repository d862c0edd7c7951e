/**
 * @module
 * Models of the Hugging Face hub as files.
 */
export { hub, type HubOptions, type HubProgress } from "./places/hub/hub.ts";
