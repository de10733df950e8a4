/** What is shown with a worktree: pull requests read with gh, and how much disk it takes. */
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { readList } from "../src/features/worktree/github.ts";
import { type Host, startHost } from "../src/host.ts";
import { create, git, look, program } from "./scratch.ts";

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

/** Counts its calls and answers what stands in `<home>/prs`; fails without it. */
const GH = `#!/bin/sh
echo "$PWD $*" >> "$HOME/../gh-calls"
cat "$HOME/../prs"
`;
const callsOf = (host: Host) => {
  const file = path.join(host.home, "gh-calls");
  return fs.existsSync(file) ? fs.readFileSync(file, "utf8").trim().split("\n") : [];
};
const pull = (branch: string, more: object = {}) => ({
  headRefName: branch,
  url: `https://github.com/o/r/pull/${branch}`,
  state: "OPEN",
  isDraft: false,
  reviewDecision: "",
  statusCheckRollup: [],
  ...more,
});
const answer = (host: Host, list: object[]) => fs.writeFileSync(path.join(host.home, "prs"), JSON.stringify(list));

test("WORKTREE-20: what gh says of a pull request and of its checks", () => {
  const run = (conclusion: string, status = "COMPLETED") => ({ status, conclusion });
  const table: [string, object, string, string][] = [
    ["a", {}, "awaiting-review", "none"],
    ["b", { isDraft: true, statusCheckRollup: [run("SUCCESS"), run("SKIPPED")] }, "draft", "passing"],
    [
      "c",
      { reviewDecision: "CHANGES_REQUESTED", statusCheckRollup: [run("", "IN_PROGRESS"), run("FAILURE")] },
      "changes-requested",
      "failing",
    ],
    ["d", { reviewDecision: "APPROVED", statusCheckRollup: [run("SUCCESS"), run("", "QUEUED")] }, "approved", "pending"],
    ["e", { reviewDecision: "REVIEW_REQUIRED", statusCheckRollup: [{ state: "PENDING" }] }, "awaiting-review", "pending"],
    ["f", { state: "MERGED", statusCheckRollup: [{ state: "SUCCESS" }] }, "merged", "passing"],
    ["g", { state: "CLOSED", statusCheckRollup: null }, "closed", "none"],
  ];
  const found = readList(JSON.stringify(table.map(([branch, more]) => pull(branch, more))));
  assert.deepEqual(
    table.map(([branch]) => [branch, found.get(branch)?.state, found.get(branch)?.ci]),
    table.map(([branch, , state, ci]) => [branch, state, ci]),
  );
  const twice = readList(
    JSON.stringify([pull("x", { state: "CLOSED", url: "newest" }), pull("x", { url: "open" }), pull("x", { url: "old" })]),
  );
  assert.equal(twice.get("x")?.url, "open");
});

test("WORKTREE-20: each task shows its pull request, asked for at most once a minute, seldomer with age, and never again once merged", async () => {
  await using host = await startHost();
  program(host, "gh", GH);
  git(host.repo, "remote", "add", "origin", "git@github.com:o/r.git");
  answer(host, [pull("argus/one", { statusCheckRollup: [{ status: "IN_PROGRESS" }] }), pull("elsewhere")]);
  const [one, two] = [await create(host, { name: "one" }), await create(host, { name: "two" })];
  assert.deepEqual([one.pr_state, one.ci_state], [undefined, undefined]);

  host.clock.advance(MINUTE);
  const shown = await host.until(one.id, (task) => task.pr_state === "awaiting-review", "the pull request");
  assert.deepEqual([shown.pr_url, shown.ci_state], ["https://github.com/o/r/pull/argus/one", "pending"]);
  await host.until(two.id, (task) => task.pr_state === "none", "the other task");
  assert.equal(callsOf(host).length, 1, "one call for all branches of a repository");
  assert.ok(callsOf(host)[0]?.startsWith(`${fs.realpathSync(host.repo)} pr list --state all`));
  host.clock.advance(MINUTE / 2);
  host.clock.advance(1000);

  answer(host, [pull("argus/one", { state: "MERGED" }), pull("argus/two", { isDraft: true })]);
  host.clock.advance(MINUTE);
  await host.until(one.id, (task) => task.pr_state === "merged", "the merge");
  await host.until(two.id, (task) => task.pr_state === "draft", "the draft");
  assert.equal(callsOf(host).length, 2, "not within the minute");

  // Two days later only every ten minutes.
  host.clock.advance(2 * DAY);
  await host.eventually(() => callsOf(host).length === 3, "a look after two days");
  host.clock.advance(2 * MINUTE);
  answer(host, [pull("argus/two", { state: "CLOSED" })]);
  host.clock.advance(9 * MINUTE);
  await host.until(two.id, (task) => task.pr_state === "closed", "the closing");
  assert.equal(callsOf(host).length, 4);
  host.clock.advance(DAY);
  host.clock.advance(DAY);
  await host.restart();
  host.clock.advance(DAY);
  assert.deepEqual([(await look(host, one.id)).pr_state, (await look(host, two.id)).pr_state], ["merged", "closed"]);
  assert.equal(callsOf(host).length, 4, "merged and closed are never asked for again");
});

test("WORKTREE-20: a gh that fails makes the state unknown and nothing else", async () => {
  await using host = await startHost();
  program(host, "gh", GH);
  git(host.repo, "remote", "add", "origin", "https://github.com/o/r");
  const { id } = await create(host);
  host.clock.advance(MINUTE);
  const task = await host.until(id, ({ pr_state }) => pr_state !== undefined, "an answer");
  assert.deepEqual([task.pr_state, task.pr_url, task.status], ["unknown", undefined, "in_progress"]);
});

test("WORKTREE-21: without gh the fields are absent, nothing is tried and nothing is complained of", async () => {
  await using host = await startHost({ env: { PATH: "/nowhere" } });
  git(host.repo, "remote", "add", "origin", "git@github.com:o/r.git");
  const { tasks, node } = host.system.services;
  assert.equal(await node.processes.which("gh"), null);
  const backend = "fixture-idle";
  await create(host, { backend, name: "one" });
  const before = fs.readFileSync(path.join(host.home, "daemon.log"), "utf8").length;
  for (let n = 0; n < 5; n++) host.clock.advance(MINUTE);
  const [task] = await tasks.views(await tasks.list({}));
  assert.deepEqual(
    ["pr_url", "pr_state", "ci_state"].filter((name) => name in (task ?? {})),
    [],
  );
  const log = fs.readFileSync(path.join(host.home, "daemon.log"), "utf8").slice(before);
  assert.ok(!/gh|pull request/.test(log), log);
});

test("WORKTREE-31: the size of each worktree and project follows within ten minutes, and too much of it is a health warning", async () => {
  await using host = await startHost();
  const [one, two] = [await create(host, { name: "one" }), await create(host, { name: "two" })];
  fs.writeFileSync(path.join(one.worktree_path, "big"), Buffer.alloc(3_000_000, 1));
  host.clock.advance(6 * MINUTE);
  const measured = await host.until(one.id, ({ disk_bytes }) => disk_bytes !== undefined, "the first measurement");
  assert.ok((measured.disk_bytes ?? 0) > 3_000_000 && ((await look(host, two.id)).disk_bytes ?? 0) < 1_000_000);
  fs.writeFileSync(path.join(two.worktree_path, "big"), Buffer.alloc(5_000_000, 1));
  host.clock.advance(6 * MINUTE);
  const later = await host.until(two.id, ({ disk_bytes }) => (disk_bytes ?? 0) > 5_000_000, "the next measurement");
  const disk = await host.call<{ total_bytes: number; projects: { project: string; bytes: number }[] }>("worktree.disk");
  assert.deepEqual(disk.projects, [{ project: "demo", bytes: (measured.disk_bytes ?? 0) + (later.disk_bytes ?? 0) }]);
  assert.equal(disk.total_bytes, disk.projects[0]?.bytes);
  await host.system.services.config.store({ "worktree.disk_warn_gb": 0 });
  const { checks } = await host.call<{ checks: { name: string; status: string; evidence: string }[] }>("health", { deep: true });
  assert.partialDeepStrictEqual(
    checks.find(({ name }) => name === "disk"),
    { status: "warn" },
  );
});
