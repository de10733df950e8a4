/** Every fact the system announces. Past tense, small; whoever wants more asks. Clients ignore types they do not know. */

/** Payload by event type. The task a fact is about travels beside the payload as `task_id`. */
export interface EventPayloads {
  "task.created": { name: string; project: string };
  "task.status_changed": { from: string; to: string };
  "task.completed": Record<string, never>;
  "task.archived": { archived: boolean };
  "task.renamed": { name: string };
  "task.pinned": { pinned: boolean };
  "task.forked": { source: string };
  "task.deleted": { saved_ref: string | null };
  "task.result_set": Record<string, never>;
  "task.pull_request_changed": { state: string; ci: string };
  "task.budget_warning": { percent: number };
  "session.started": { pid: number; resume: boolean; run: number };
  "session.exited": { stopped: boolean; error: string | null; pending_restart: boolean };
  "session.idle": { evidence: string };
  "session.state_changed": { from: string | null; to: string; source: string; evidence: string };
  "session.drift": { claim: string; observed: string };
  "message.sent": { id: string; to: string };
  "message.acked": { ids: string[] };
  "link.created": { parent_id: string };
  "link.removed": { parent_id: string };
  "project.changed": { name: string };
  "backend.changed": { name: string };
  "settings.changed": { keys: string[] };
  "token.revoked": { id: string };
  "approval.requested": { id: string; title: string };
  "approval.resolved": { id: string; decision: string };
  "health.changed": { name: string; status: string };
  "schedule.fired": { id: string };
  "schedule.skipped": { id: string; reason: string };
  "schedule.failed": { id: string; error: string };
}
export type EventType = keyof EventPayloads;

/** One entry of the numbered log, as every surface sends it. */
export interface ArgusEvent {
  /** Increasing, never reused; 0 only for `resync`. */
  id: number;
  type: EventType | "resync";
  /** RFC 3339. */
  at: string;
  task_id: string | null;
  payload: Record<string, unknown>;
}
