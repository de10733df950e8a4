/** What the daemon gets of this package: the machine it runs on as a Node. */

export { cleanOutput } from "./clean.ts";
export { extractLinks, type Link } from "./links.ts";
export { type LocalNodeOptions, localNode } from "./local.ts";
export { cleanFileName } from "./names.ts";
export type * from "./node.ts";
export type { PaperSize } from "./paper.ts";
export { slugOf } from "./slug.ts";
