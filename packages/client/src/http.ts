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
  constructor(status: number, body: ErrorBody) {
    super(body.error);
    this.name = "HttpCallError";
    this.code = body.code;
    this.status = status;
  }
}

export class HttpClient {
  #options: HttpClientOptions;

  constructor(options: HttpClientOptions) {
    this.#options = options;
  }

  async call<T = unknown>(name: string, input: unknown = {}, options: { key?: string; signal?: AbortSignal } = {}): Promise<T> {
    const response = await (this.#options.fetch ?? fetch)(new URL(`/api/call/${encodeURIComponent(name)}`, this.#options.url), {
      method: "POST",
      headers: {
        authorization: `Bearer ${this.#options.token}`,
        "content-type": "application/json",
        ...(options.key && { "idempotency-key": options.key }),
      },
      body: JSON.stringify(input),
      ...(options.signal && { signal: options.signal }),
    });
    const body = (await response.json()) as T | ErrorBody;
    if (!response.ok) throw new HttpCallError(response.status, body as ErrorBody);
    return body as T;
  }
}
