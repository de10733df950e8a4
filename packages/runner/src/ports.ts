/** Finds out whether TCP ports are free, so that a worktree gets ports its programs can really use. */
import { createServer } from "node:net";
import type { Ports } from "./node.ts";

export const ports: Ports = {
  async free(first, count = 1) {
    for (let port = first; port < first + count; port++) if (!(await isFree(port))) return false;
    return true;
  },
};

/** Tried by listening: whoever listens on all addresses is found as well. */
function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => resolve(true)));
  });
}
