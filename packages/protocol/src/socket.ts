/** Frames of the owner's local socket: one JSON object a line. */
import type { ErrorBody } from "./errors.ts";

/** Longest line either side accepts; a longer one closes the connection. 8 MiB carries every JSON body the limits allow; uploads go over REST. */
export const MAX_LINE_BYTES = 8 * 1024 * 1024;

/** Client to daemon: a call, or the end of one. `id` is the client's, unique while the call runs. */
export type SocketRequest = { id: number; call: string; input?: unknown; key?: string; cwd?: string } | { id: number; cancel: true };

/** Daemon to client: one `value`, or items of a stream followed by `end`, or an error. */
export type SocketReply =
  | { id: number; value: unknown }
  | { id: number; item: unknown }
  | { id: number; end: true }
  | { id: number | null; error: ErrorBody };

/** What the live manifest says of one operation; enough to build a command line, a form or a palette row from. */
export interface OperationManifest {
  name: string;
  summary: string;
  tier: string;
  stream: boolean;
  positional: string[];
  input: Record<string, unknown>;
  mcp: string | null;
  rest: string[];
  /** Its engine is not built yet: it answers NOT_IMPLEMENTED. */
  planned: boolean;
}
