/** Every operation's example, run through every surface: the same reply behind each door. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Task } from "@argus/protocol";
import { operations as later } from "../src/features/later/index.ts";
import { type Host, startHost } from "../src/host.ts";
import type { AnyOperation } from "../src/kernel/operation.ts";
import { operations } from "../src/operations.ts";
import { doors, type Json } from "./doors.ts";

/** Operations without an example, and why none would say more. What is not built yet has none either. */
const WITHOUT: Record<string, string> = {
  "approval.resolve": "needs a question that somebody else asked",
  "approval.wait": "needs a question that somebody else asked",
  "clipboard.get": "over REST nothing is no reply (204)",
  "daemon.info": "tells of this very process",
  "event.stream": "a stream",
  health: "tells of this very machine",
  "project.consent": "needs the digest of a file in the repository",
  "project.create": "needs the path of a repository",
  "session.attach": "answers with a path of this machine",
  "session.deliver": "whether it is typed at once depends on what the agent does",
  "session.delivery": "needs a delivery that is under way",
  "session.history": "the bytes of a real terminal",
  "session.report": "an agent's own hook calls it",
  "session.screen": "the screen of a real terminal",
  "session.stream": "a stream",
  "session.switch": "needs a conversation that a harness recorded",
  "session.upload": "files travel as multipart only",
  "task.cancel_creation": "needs a creation that is under way",
  "task.watch_creations": "a stream",
  "token.login_link": "every link is another one",
  "token.revoke": "needs the id of a minted token",
  "token.rotate": "ends every other caller",
  "token.self": "each caller is somebody else",
  "worktree.recover": "needs the safety copy of a deleted task",
};

test("every operation that is built has an example, or the reason why it has none", () => {
  const built = operations.filter((operation) => !later.includes(operation as never));
  assert.deepEqual(
    built
      .filter((operation) => !operation.example)
      .map((operation) => operation.name)
      .sort(),
    Object.keys(WITHOUT).sort(),
  );
});

/** Brings the host into the state an example is given in; answers what `$task` stands for. Tasks that still live serve again, put back as they were. */
async function given(host: Host, state: string, known: Map<string, string>): Promise<string | undefined> {
  if (state !== "" && !(await host.call<{ projects: string[] }>("project.list")).projects.includes("demo"))
    await host.call("project.create", { name: "demo", path: host.repo, backend: "fixture-idle" });
  if (!state.startsWith("task:")) return undefined;
  const wanted = state === "task:echo" ? "echo" : "idle";
  const before = known.get(wanted);
  const task = before && (await host.call<Task>("task.get", { id: before }).catch(() => null));
  if (task && task.last_run?.ended_at === null) {
    await host.call("task.archive", { id: before, archived: false });
    await host.call("task.pin", { id: before, pinned: false });
    await host.call("task.rename", { id: before, name: `given ${wanted}` });
    await host.call("task.set_status", { id: before, status: "in_progress" });
    if (state === "task:stopped") await host.call("task.stop", { id: before });
    return before;
  }
  const { id } = await host.call<{ id: string }>("task.create", { project: "demo", name: `given ${wanted}`, backend: `fixture-${wanted}` });
  known.set(wanted, id);
  // Its first words are there, so that every door finds the same screen and the same bytes.
  const word = wanted === "echo" ? "ready" : "idle";
  await host.eventually(async () => {
    const shown = await host.call<{ text: string }>("session.output", { id }).catch(() => null);
    return shown?.text.includes(word);
  }, `the agent of ${state} to speak`);
  host.clock.advance(4000); // long enough without a word to be idle, so that its state is settled
  await host.until(id, (task) => task.state?.value === "idle", "the agent to be idle");
  if (state === "task:stopped") await host.call("task.stop", { id });
  return id;
}

/** What may differ between two equal hosts: times, process ids, commits, secrets, folders and the ids of tasks. */
function normal(host: Host, value: unknown, task: string | undefined): unknown {
  const text = JSON.stringify(value, (name, inner: unknown) => {
    if (name === "pid") return "PID";
    if (name === "token" || name === "last4") return "SECRET";
    if (["duration_ms", "elapsed", "attention", "load"].includes(name)) return "VARIES";
    if (name === "id" && inner === task) return "TASK";
    return inner;
  });
  return JSON.parse(
    text
      .replaceAll(host.home, "HOME")
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
      .replaceAll(/\b[0-9a-f]{40}\b/g, "COMMIT"),
  );
}

/** Those that change what others see come last: looking without tasks, looking at tasks, changing. */
const order = ({ example, tier, name }: AnyOperation) =>
  `${tier === "readonly" ? 0 : 1}${example?.given?.startsWith("task:") || name === "task.create" ? 1 : 0}${name}`;

const withExample = operations.filter((operation) => operation.example).sort((a, b) => (order(a) < order(b) ? -1 : 1));

/** Replies by operation of one fresh host, all asked through one door. */
async function ask(door: keyof ReturnType<typeof doors>): Promise<Record<string, unknown>> {
  await using host = await startHost({ rest: true });
  const replies: Record<string, unknown> = {};
  const known = new Map<string, string>();
  for (const operation of withExample) {
    const { example } = operation;
    if (operation.name === "project.delete" || example?.given === undefined)
      for (const [name, id] of known) if (known.delete(name)) await host.call("task.delete", { id, force: true }).catch(() => {});
    const task = await given(host, example?.given ?? "", known);
    const fill = (value: unknown) => JSON.parse(JSON.stringify(value).replaceAll("$task", task ?? "$task")) as Json;
    const reply = await doors(host)[door](operation, fill(example?.input));
    if (example?.output) assert.partialDeepStrictEqual(reply, fill(example.output), `${operation.name} answers as its example says`);
    replies[operation.name] = normal(host, reply, task);
  }
  return replies;
}

const wanted = ask("gate");

for (const door of ["rest", "mcp", "socket", "cli"] as const)
  test(`every example gets the same reply through ${door} as through the gate`, async () => {
    assert.ok(Object.keys(await wanted).length >= 40, "the examples were found");
    assert.deepEqual(await ask(door), await wanted);
  });
