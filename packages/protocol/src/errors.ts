/** One table of errors for every surface: what a code means as HTTP status, JSON-RPC code, exit status, and whether trying again can help. */

export const ERRORS = {
  PENDING: { http: 202, rpc: -32011, exit: 5, retryable: true },
  INVALID_INPUT: { http: 400, rpc: -32602, exit: 2, retryable: false },
  AUTH_REQUIRED: { http: 401, rpc: -32002, exit: 4, retryable: false },
  PERMISSION_DENIED: { http: 403, rpc: -32003, exit: 3, retryable: false },
  NOT_FOUND: { http: 404, rpc: -32004, exit: 6, retryable: false },
  METHOD_NOT_FOUND: { http: 404, rpc: -32601, exit: 2, retryable: false },
  CONFLICT: { http: 409, rpc: -32009, exit: 5, retryable: true },
  BUSY: { http: 409, rpc: -32000, exit: 5, retryable: true },
  GONE: { http: 410, rpc: -32009, exit: 6, retryable: false },
  TOO_LARGE: { http: 413, rpc: -32602, exit: 2, retryable: false },
  RATE_LIMITED: { http: 429, rpc: -32029, exit: 5, retryable: true },
  INTERNAL: { http: 500, rpc: -32603, exit: 10, retryable: false },
  NOT_IMPLEMENTED: { http: 501, rpc: -32010, exit: 5, retryable: false },
  UNAVAILABLE: { http: 503, rpc: -32010, exit: 5, retryable: true },
} as const;

export type ErrorCode = keyof typeof ERRORS;

/** What a caller sees of a failure. `details` holds what a program needs (the cycle of a dependency, the fields that were wrong). */
export interface ErrorBody {
  error: string;
  code: ErrorCode;
  details?: Record<string, unknown>;
}

/** A broken promise with a code of the table. The message is read by people: what was asked, what was found, what would work. */
export class ArgusError extends Error {
  readonly code: ErrorCode;
  readonly details: Record<string, unknown> | undefined;

  constructor(code: ErrorCode, message: string, details?: Record<string, unknown>) {
    super(message);
    this.name = "ArgusError";
    this.code = code;
    this.details = details;
  }

  toBody(): ErrorBody {
    return { error: this.message, code: this.code, ...(this.details && { details: this.details }) };
  }

  static fromBody(body: ErrorBody): ArgusError {
    return new ArgusError(body.code in ERRORS ? body.code : "INTERNAL", body.error, body.details);
  }
}

/** Anything thrown, as an ArgusError. Unknown failures keep their text out of replies: it may hold paths or secrets; the log has it. */
export function toArgusError(thrown: unknown): ArgusError {
  if (thrown instanceof ArgusError) return thrown;
  return new ArgusError("INTERNAL", "Something failed inside Argus. The daemon log says what; try again, and report it if it stays.");
}
