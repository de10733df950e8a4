/** Calls over HTTP, from another machine or a browser: the generic endpoint of the REST surface. */
import type { ErrorBody } from "@argus/protocol";

export interface HttpClientOptions {
  /** Such as `https://host:7743`. */
  url: string;
  token: string;
  fetch?: typeof fetch;
}

export class HttpCallError extends Error {
  readonly code: string;
  readonly status: number;
  readonly details: Record<string, unknown> | undefined;
  constructor(status: number, body: ErrorBody) {
    super(body.error);
    this.name = "HttpCallError";
    this.code = body.code;
    this.status = status;
    this.details = body.details;
  }
}

export class HttpClient {
  #options: HttpClientOptions;

  constructor(options: HttpClientOptions) {
    this.#options = options;
  }

  call<T = unknown>(name: string, input: unknown = {}, options: { key?: string; signal?: AbortSignal } = {}): Promise<T> {
    return this.#ask(`/api/call/${encodeURIComponent(name)}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...(options.key && { "idempotency-key": options.key }) },
      body: JSON.stringify(input),
      ...(options.signal && { signal: options.signal }),
    });
  }

  get<T = unknown>(path: string): Promise<T> {
    return this.#ask(path, {});
  }

  async #ask<T>(path: string, init: RequestInit): Promise<T> {
    const headers = { ...init.headers, authorization: `Bearer ${this.#options.token}` };
    const response = await (this.#options.fetch ?? fetch)(new URL(path, this.#options.url), { ...init, headers });
    const text = await response.text();
    let body: unknown;
    try {
      body = JSON.parse(text);
    } catch {
      throw new HttpCallError(response.status, {
        error: `${this.#options.url} did not answer as Argus does (${response.status}).`,
        code: "UNAVAILABLE",
      });
    }
    if (response.status === 202 && typeof (body as { pending?: unknown }).pending === "string") {
      const { pending, message } = body as { pending: string; message: string };
      throw new HttpCallError(202, { error: message, code: "PENDING", details: { pending } });
    }
    if (!response.ok) throw new HttpCallError(response.status, body as ErrorBody);
    return body as T;
  }
}
