/** Makes the project's errors without loading the protocol package at start: it brings the schema library, half of our start time. */
import type { ArgusError, ErrorCode } from "@argus/protocol";

/** `throw await failure(...)`: the message says what was asked, what was found and what would work. */
export async function failure(code: ErrorCode, message: string): Promise<ArgusError> {
  const protocol = await import("@argus/protocol");
  return new protocol.ArgusError(code, message);
}

/** Exit status of anything thrown; 10 for what nobody foresaw. */
export async function exitStatusOf(thrown: unknown): Promise<number> {
  if (!(thrown instanceof Error) || thrown.name !== "ArgusError") return 10;
  const protocol = await import("@argus/protocol");
  return protocol.ERRORS[(thrown as ArgusError).code].exit;
}

/** What a person is told of anything thrown. */
export function sentenceOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
