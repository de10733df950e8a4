/** Tasks: one piece of work given to one agent. */
import * as creating from "./creating.ts";
import { digest } from "./digest.ts";
import { fork, prune, recover, remove } from "./end.ts";
import * as marks from "./operations.ts";

export { Creation } from "./create.ts";
export { Dependencies } from "./dependencies.ts";
export { Destruction } from "./destruction.ts";
export { Naming } from "./naming.ts";
export { Ports } from "./ports.ts";
export { elapsed, nameFromPrompt, statusAfter, step } from "./status.ts";
export { migrations, type RunRow, type TaskRow } from "./tables.ts";
export { type TaskRef, Tasks } from "./tasks.ts";
export { workspaceOf } from "./workspace.ts";

export const operations = [...Object.values(marks), ...Object.values(creating), digest, remove, prune, fork, recover];
