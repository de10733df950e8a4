/** What the daemon gets of this package: the machine it runs on as a Node. */
export type * from "./node.ts";
export { localNode, type LocalNodeOptions } from "./local.ts";
export { slugOf } from "./slug.ts";
export { cleanFileName } from "./names.ts";
export { cleanOutput } from "./clean.ts";
export { extractLinks, type Link } from "./links.ts";
export type { PaperSize } from "./paper.ts";
