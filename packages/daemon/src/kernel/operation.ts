/** One definition of an operation; every surface derives its form from it. */
import type { Tier } from "@argus/protocol";
import type { z } from "zod";
import type { Caller } from "./caller.ts";
import type { Log } from "./log.ts";

/** What handlers may use. Each feature adds its own entry by declaration merging, so the kernel knows none of them. */
// biome-ignore lint/suspicious/noEmptyInterface: filled by features
export interface Services {}

export interface Context {
  caller: Caller;
  /** Aborts when the caller is gone or the daemon stops. */
  signal: AbortSignal;
  log: Log;
}

/** Form of a reply outside plain JSON, for REST only. */
export interface HttpReply {
  body: string | Uint8Array;
  type: string;
  /** When it is not the operation's own; 204 has no body. */
  status?: number;
  headers?: Record<string, string>;
}

export interface Definition<I, In, O> {
  /** `noun.verb`. */
  name: string;
  /** One imperative sentence: the help text everywhere. */
  summary: string;
  tier: Tier;
  input: z.ZodType<I, In>;
  /** Reply, or one item of a stream. */
  output: z.ZodType<O>;
  /** `METHOD /path/{field}` to the input fields that this path fixes. */
  rest?: Record<string, Record<string, unknown>>;
  /** HTTP status of success when it is not 200. */
  status?: number;
  /** Fields of the reply that are secrets: shown once, blank when a repeated request finds its stored reply. */
  shownOnce?: string[];
  /** Public names that differ by tradition; null keeps the operation off that surface. */
  as?: { mcp?: string | null; cli?: string | null };
  /** Input fields the command line takes by position. */
  positional?: string[];
  /** JSON body fields that have another name in the input, because the path already uses theirs. */
  bodyFields?: Record<string, string>;
  /** A raw request body goes, base64, into this field. */
  rawBody?: string;
  /** multipart/form-data: file parts go into `files` as {name, base64}. */
  files?: boolean;
  /** REST reply that is not JSON. */
  present?: (output: O) => HttpReply;
  /** One server-sent event per stream item. */
  sse?: (item: O) => { id?: string; event?: string; data: string };
  /** Extra REST permission checks happen in the handler; this one line says what they are, for the reference. */
  note?: string;
  /** The audit row may follow the reply by a moment (keystrokes). */
  auditSoon?: boolean;
  /** The address is a promise, the engine is not built yet; lists leave it out. */
  planned?: boolean;
  /** Documentation that is run: through every surface, with equal replies. `$task` stands for the id of the given task. */
  example?: { given?: string; input: Partial<In> | Record<string, unknown>; output?: Partial<O> | Record<string, unknown> };
}

export interface Operation<I = unknown, In = unknown, O = unknown> extends Definition<I, In, O> {
  stream: boolean;
  handler: (input: I, services: Services, context: Context) => Promise<O | AsyncIterable<O>> | O | AsyncIterable<O>;
}

/** Two steps, so that the handler's types come from the schemas and its literals do not widen them. */
export function operation<I, In, O>(definition: Definition<I, In, O>) {
  return {
    /** One request, one reply. */
    run(handler: (input: I, services: Services, context: Context) => Promise<O> | O): Operation<I, In, O> {
      return { ...definition, stream: false, handler };
    },
    /** One request, many items; ends when the generator ends or `context.signal` aborts. What can be refused is refused before the generator is returned. */
    generate(
      handler: (input: I, services: Services, context: Context) => Promise<AsyncIterable<O>> | AsyncIterable<O>,
    ): Operation<I, In, O> {
      return { ...definition, stream: true, handler };
    },
  };
}

// biome-ignore lint/suspicious/noExplicitAny: a registry holds operations of every shape
export type AnyOperation = Operation<any, any, any>;
