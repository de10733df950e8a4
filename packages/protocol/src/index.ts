/** What every process of Argus agrees on. */
export * from "./entities.ts";
export * from "./errors.ts";
export * from "./events.ts";
export * from "./socket.ts";
export * from "./tiers.ts";
