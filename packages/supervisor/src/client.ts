/** What other packages use of the supervisor: a connection, a start, the lock, the log. */

export { connectSupervisor } from "./connect.ts";
export type * from "./contract.ts";
export { SupervisorError, type SupervisorErrorCode } from "./errors.ts";
export { PROTOCOL } from "./frames.ts";
export { holdLock, type Lock } from "./lock.ts";
export { type LogPart, readLog, removeLog } from "./logfile.ts";
export { checkSocketPath, supervisorPaths } from "./paths.ts";
export { type StartOptions, startSupervisor } from "./start.ts";
