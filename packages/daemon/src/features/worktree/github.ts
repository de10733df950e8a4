/** What `gh` says of a repository's pull requests, in the words of Argus. */

export const PULL_REQUEST_STATES = [
  "none",
  "draft",
  "awaiting-review",
  "changes-requested",
  "approved",
  "merged",
  "closed",
  "unknown",
] as const;
export type PullRequestState = (typeof PULL_REQUEST_STATES)[number];
export type CheckState = "none" | "pending" | "passing" | "failing";

export interface PullRequest {
  url: string;
  state: PullRequestState;
  ci: CheckState;
}

/** One call tells of all branches of a repository. More pull requests than this are older than any open task. */
export const LIST = [
  "gh",
  "pr",
  "list",
  "--state",
  "all",
  "--limit",
  "200",
  "--json",
  "headRefName,url,state,isDraft,reviewDecision,statusCheckRollup",
];

interface Check {
  /** Of a check run. */
  status?: string;
  conclusion?: string;
  /** Of an old-style commit status. */
  state?: string;
}
interface Listed {
  headRefName: string;
  url: string;
  state: string;
  isDraft: boolean;
  reviewDecision: string;
  statusCheckRollup: Check[] | null;
}

/** By branch; of several pull requests of one branch an open one counts, else the newest. Throws when it is no such list. */
export function readList(text: string): Map<string, PullRequest> {
  const found = new Map<string, PullRequest>();
  const all = JSON.parse(text) as Listed[];
  for (const one of [...all.filter(({ state }) => state === "OPEN"), ...all])
    if (!found.has(one.headRefName))
      found.set(one.headRefName, { url: one.url, state: stateOf(one), ci: checksOf(one.statusCheckRollup ?? []) });
  return found;
}

function stateOf(one: Listed): PullRequestState {
  if (one.state === "MERGED") return "merged";
  if (one.state === "CLOSED") return "closed";
  if (one.isDraft) return "draft";
  if (one.reviewDecision === "CHANGES_REQUESTED") return "changes-requested";
  return one.reviewDecision === "APPROVED" ? "approved" : "awaiting-review";
}

const GOOD = new Set(["SUCCESS", "NEUTRAL", "SKIPPED"]);

function checksOf(checks: Check[]): CheckState {
  const results = checks.map(({ status, conclusion, state }) => {
    if (state) return state === "PENDING" || state === "EXPECTED" ? "pending" : GOOD.has(state) ? "passing" : "failing";
    return status !== "COMPLETED" ? "pending" : GOOD.has(conclusion ?? "") ? "passing" : "failing";
  });
  if (results.includes("failing")) return "failing";
  return results.includes("pending") ? "pending" : results.length > 0 ? "passing" : "none";
}
