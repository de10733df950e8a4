/** The one error of this package; it cannot use the protocol package's because it depends on nothing of ours. */

/** Codes are those of the protocol's error table. */
export type SupervisorErrorCode = "INVALID_INPUT" | "NOT_FOUND" | "CONFLICT" | "BUSY" | "UNAVAILABLE" | "METHOD_NOT_FOUND" | "INTERNAL";

export class SupervisorError extends Error {
  readonly code: SupervisorErrorCode;

  constructor(code: SupervisorErrorCode, message: string) {
    super(message);
    this.name = "SupervisorError";
    this.code = code;
  }
}
