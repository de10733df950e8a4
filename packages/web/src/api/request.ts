/** The one way to ask the daemon: adds the token, understands its errors, and reports to `reach` whether it answered at all. */
import type { ErrorBody } from "@argus/protocol";
import { ArgusError, ERRORS } from "@argus/protocol";
import { noteRequest } from "./reach.ts";
import { forgetToken, token } from "./token.ts";

/** Long enough for a slow phone link, short enough to notice a dead one. */
const TIMEOUT_MS = 15_000;

export interface RequestOptions {
  json?: unknown;
  /** Raw bytes; sent as application/octet-stream. */
  bytes?: Uint8Array;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  timeoutMs?: number;
}

/** True for "the daemon did not answer", as opposed to an answer that says no. */
export function isUnreachable(error: unknown): boolean {
  return error instanceof ArgusError && error.details?.["unreachable"] === true;
}

/** Text of any failure, ready to be shown. */
export function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function authorization(): Record<string, string> {
  return token.value ? { authorization: `Bearer ${token.value}` } : {};
}

/** Sends one request and returns the reply, or throws an ArgusError. A token that is no longer accepted leads to the login screen. */
export async function send(method: string, path: string, options: RequestOptions = {}): Promise<Response> {
  const limit = AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS);
  const used = token.value;
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers: {
        ...authorization(),
        ...(options.json !== undefined && { "content-type": "application/json" }),
        ...(options.bytes && { "content-type": "application/octet-stream" }),
        ...options.headers,
      },
      body: options.json !== undefined ? JSON.stringify(options.json) : ((options.bytes as BodyInit | undefined) ?? null),
      signal: options.signal ? AbortSignal.any([options.signal, limit]) : limit,
      cache: "no-store",
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    noteRequest(false);
    throw new ArgusError("UNAVAILABLE", "The Argus daemon did not answer. Agents keep running; this page tries again by itself.", {
      unreachable: true,
    });
  }
  noteRequest(true);
  if (response.ok) return response;
  const failure = await errorOf(response);
  // Only when the refused token is still the one in use: a slow reply must not undo a fresh login.
  if (response.status === 401 && used && used === token.value) {
    forgetToken("This device's token is no longer accepted: it was revoked or replaced. Log in again to continue where you were.");
  }
  throw failure;
}

/** Asks for JSON. */
export async function ask<T>(method: string, path: string, options?: RequestOptions): Promise<T> {
  const response = await send(method, path, options);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** Reads the error body; a reply that is none (a proxy's page) gets a sentence of its own. */
export async function errorOf(response: Response): Promise<ArgusError> {
  const body = (await response.json().catch(() => null)) as Partial<ErrorBody> | null;
  if (body && typeof body.error === "string") {
    const code = body.code && body.code in ERRORS ? body.code : codeOfStatus(response.status);
    return new ArgusError(code, body.error, { ...body.details, status: response.status });
  }
  return new ArgusError(codeOfStatus(response.status), `The daemon answered ${response.status} without saying why.`, {
    status: response.status,
  });
}

function codeOfStatus(status: number): keyof typeof ERRORS {
  const found = Object.entries(ERRORS).find(([, row]) => row.http === status);
  return (found?.[0] as keyof typeof ERRORS | undefined) ?? "INTERNAL";
}
