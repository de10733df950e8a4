/** Rules that may say no, or "ask a person", after the caller's tier has said yes. Data, in order; the first match decides. */
import type { Caller } from "./caller.ts";
import type { AnyOperation } from "./operation.ts";

export type Decision = "allow" | "ask" | "deny";

export interface PolicyRule {
  id: string;
  match: { caller?: Caller["kind"][]; operation?: string[] };
  decision: Decision;
}

/** Destroying work is not a routine act of an agent (MCP-33). */
export const DEFAULT_RULES: PolicyRule[] = [
  {
    id: "agent-destroys",
    match: { caller: ["task", "anonymous"], operation: ["task.delete", "task.prune", "project.delete"] },
    decision: "ask",
  },
];

export function decide(rules: PolicyRule[], caller: Caller, operation: AnyOperation): { decision: Decision; rule: string } {
  for (const rule of rules) {
    if (rule.match.caller && !rule.match.caller.includes(caller.kind)) continue;
    if (rule.match.operation && !rule.match.operation.includes(operation.name)) continue;
    return { decision: rule.decision, rule: rule.id };
  }
  return { decision: "allow", rule: "tier" };
}
