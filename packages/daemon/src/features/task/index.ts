/** Tasks: one piece of work given to one agent. */
import { fork, prune, recover, remove } from "./end.ts";
import * as marks from "./operations.ts";

export { Creation } from "./create.ts";
export { Dependencies } from "./dependencies.ts";
export { Destruction } from "./destruction.ts";
export { Ports } from "./ports.ts";
export { elapsed, nameFromPrompt, statusAfter, step } from "./status.ts";
export { migrations, type RunRow, type TaskRow } from "./tables.ts";
export { type TaskRef, Tasks } from "./tasks.ts";

export const operations = [...Object.values(marks), remove, prune, fork, recover];
