/**
 * @module
 * All of `@lowrank/models/chat`.
 */
export * from "@lowrank/models/chat";
