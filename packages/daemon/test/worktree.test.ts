/** A creation is whole or nothing, can be followed and cancelled, and does what the repository asks for only with a person's consent. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { Node } from "@argus/runner";
import { sql } from "kysely";
import { Ports } from "../src/features/task/ports.ts";
import { Tasks } from "../src/features/task/tasks.ts";
import { environmentOf } from "../src/features/task/workspace.ts";
import { agentOf, type Host, OWNER, startHost } from "../src/host.ts";
import { TestClock } from "../src/kernel/clock.ts";
import type { Store } from "../src/kernel/database.ts";
import { Events } from "../src/kernel/events.ts";
import { agent, commit, create, git, look, program, said, traces } from "./scratch.ts";
import { onBothStores } from "./stores.ts";

const hash = (text: string) => createHash("sha256").update(text).digest("hex");

/** Gives the repository this workspace.toml and, unless told otherwise, a person's consent to it. */
async function workspace(host: Host, text: string, { accept = true } = {}): Promise<string> {
  commit(host.repo, { ".argus/workspace.toml": text });
  const sha256 = hash(text);
  if (accept) await host.call("project.consent", { name: "demo", sha256 });
  return sha256;
}

interface Injected {
  mock: { restore(): void | Promise<void> };
}

/** The database itself refuses the next task. */
async function refuseRows(store: Store): Promise<Injected> {
  await sql`create trigger refused before insert on tasks begin select raise(abort, 'disk full'); end`.execute(store.db);
  return { mock: { restore: async () => void (await sql`drop trigger refused`.execute(store.db)) } };
}

const PRINTS_ENV = `#!/usr/bin/env node
console.log("env " + JSON.stringify(process.env));
process.stdin.resume();
`;

test("WORKTREE-07: a failure after each step of a creation leaves nothing behind", async (t) => {
  await using host = await startHost();
  const { node, store } = host.system.services;
  commit(host.repo, { ".gitignore": ".env\n" });
  fs.writeFileSync(path.join(host.repo, ".env"), "A=1");
  await workspace(host, 'copy = [".env"]\nports = 2\nsetup = [["/bin/sh", "-c", "echo set up > done.txt"]]\n');
  const before = await traces(host);
  const attempt = () => create(host, { name: "half", files: [{ name: "a.txt", base64: "YQ==" }] });
  /** Does the real work, then fails. */
  const failAfter = <T extends object>(part: T, method: keyof T & string) => {
    const real = (part[method] as unknown as (...args: unknown[]) => Promise<unknown>).bind(part);
    return t.mock.method(
      part,
      method as never,
      (async (...args: unknown[]) => {
        await real(...args);
        throw new Error(`failed after ${method}`);
      }) as never,
    );
  };
  const steps: Record<string, () => Injected | Promise<Injected>> = {
    files: () => failAfter(node.worktrees, "exclude"),
    attachments: () => failAfter(node.files, "saveContext"),
    contract: () => failAfter(node.worktrees, "contract"),
    ports: () => failAfter(node.ports, "free"),
    copy: () => failAfter(node.worktrees, "copyIgnored"),
    setup: () => failAfter(node.processes, "run"),
    row: () => refuseRows(store),
    start: () => failAfter(node.sessions, "spawn"),
    "end of start": () => failAfter(host.system.services.tasks, "byId"),
  };
  for (const [step, inject] of Object.entries(steps)) {
    const injected = await inject();
    await assert.rejects(attempt(), `${step} was to fail`);
    await injected.mock.restore();
    await host.eventually(async () => {
      await host.system.services.sessions.reconcile();
      return (await node.sessions.list()).length === 0;
    }, `no session to be left after ${step}`);
    assert.deepEqual(await traces(host), before, `after a failure of ${step}`);
  }
  const made = await create(host, { name: "half" });
  assert.equal(made.branch, "argus/half", "neither folder nor branch is taken");
  assert.ok(fs.existsSync(path.join(made.worktree_path, "done.txt")));
});

test("WORKTREE-05, WORKTREE-07: an unknown base branch is told in git's words and leaves nothing", async () => {
  await using host = await startHost();
  const before = await traces(host);
  await assert.rejects(create(host, { base_branch: "no-such-branch" }), /fatal: .*no-such-branch/);
  assert.deepEqual(await traces(host), before);
});

test("WORKTREE-07, WORKTREE-17: a set-up that fails or takes too long fails the creation with its last output, and nothing is left", async () => {
  await using host = await startHost();
  const long = "x".repeat(5000);
  await workspace(host, `setup = [["/bin/sh", "-c", "echo the-beginning; printf ${long}; echo the reason >&2; exit 3"]]\n`);
  let before = await traces(host);
  const failure = await create(host).then(
    () => assert.fail("it was to fail"),
    (thrown: Error) => thrown,
  );
  assert.match(failure.message, /set-up command \/bin\/sh .* failed with exit status 3/);
  const output = failure.message.split("Its last output:\n")[1] ?? "";
  assert.deepEqual([output.length, output.includes("the-beginning"), output.endsWith("the reason\n")], [4096, false, true]);
  assert.deepEqual(await traces(host), before);
  await workspace(host, 'setup = [["/bin/sleep", "1000000"]]\nsetup_timeout = 0.2\n');
  before = await traces(host);
  await assert.rejects(create(host), /did not finish in 0.2 s/);
  assert.deepEqual(await traces(host), before);
});

test("WORKTREE-17: teardown runs before the removal, and one that fails does not stop it", async () => {
  await using host = await startHost();
  const note = path.join(host.home, "note");
  await workspace(
    host,
    `ports = 1\nteardown = [["/bin/sh", "-c", "ls README.md > ${note}; echo $ARGUS_PORT >> ${note}"], ["/bin/false"], ["/bin/sleep", "1000000"]]\nteardown_timeout = 0.2\n`,
  );
  const task = await create(host);
  const { port_base } = await host.system.services.tasks.byId(task.id);
  // What was accepted for this worktree counts, not what somebody writes there later.
  fs.writeFileSync(path.join(task.worktree_path, ".argus", "workspace.toml"), 'teardown = [["/bin/false"]]\n');
  await host.call("task.delete", { id: task.id });
  assert.equal(fs.readFileSync(note, "utf8"), `README.md\n${port_base}\n`);
  assert.equal(fs.existsSync(task.worktree_path), false);
  const log = fs.readFileSync(path.join(host.home, "daemon.log"), "utf8");
  assert.equal(log.match(/teardown command failed/g)?.length, 2);
});

test("WORKTREE-09: a creation tells its step at least every second, and does not hold up another project", async () => {
  await using host = await startHost();
  const gate = path.join(host.home, "gate");
  await workspace(host, `setup = [["/bin/sh", "-c", "until [ -e ${gate} ]; do sleep 0.05; done"]]\n`);
  const other = path.join(host.home, "other");
  fs.mkdirSync(other);
  git(other, "init", "-q", "-b", "main");
  commit(other, { "a.txt": "" });
  await host.call("project.create", { name: "other", path: other, backend: "fixture-idle" });

  const stop = new AbortController();
  const watch = (await host.system.gate.open("task.watch_creations", {}, { caller: OWNER, signal: stop.signal })) as AsyncGenerator<{
    creations: { name: string; step: string }[];
  }>;
  const seen = new Set<string>();
  const slow = Array.from({ length: 6 }, (_, n) => create(host, { name: `slow ${n}` }));
  const isSetUp = ({ step }: { step: string }) => step.startsWith("setup: /bin/sh");
  for await (const { creations } of watch) {
    for (const { step } of creations) seen.add(step.split(":")[0] as string);
    if (creations.filter(isSetUp).length === 5) break;
  }
  // Nothing changes any more, and still each second is spoken of.
  const again = (await host.system.gate.open("task.watch_creations", {}, { caller: OWNER, signal: stop.signal })) as typeof watch;
  await again.next();
  host.clock.advance(1000);
  const { value } = await again.next();
  assert.deepEqual(
    value.creations.map(({ name }: { name: string }) => name).sort(),
    slow.map((_, n) => `slow ${n}`),
  );
  assert.deepEqual([...seen].sort(), ["fetch", "files", "setup", "waiting", "worktree"]);
  assert.equal((await create(host, { project: "other", name: "quick" })).status, "in_progress");
  assert.equal((await host.call<{ creations: unknown[] }>("task.creations")).creations.length, 6);
  fs.writeFileSync(gate, "");
  for (const task of await Promise.all(slow)) assert.equal(task.status, "in_progress");
  stop.abort();
  assert.deepEqual(await host.call("task.creations"), { creations: [] });
});

test("MCP-19: of twenty calls of agents five run at once, in order, and equal names never side by side", async (t) => {
  await using host = await startHost();
  const { node } = host.system.services;
  const real = node.worktrees.create.bind(node.worktrees);
  const running: string[] = [];
  const started: string[] = [];
  let most = 0;
  t.mock.method(node.worktrees, "create", async (request: Parameters<typeof real>[0]) => {
    assert.ok(!running.includes(request.name), `two ${request.name} at once`);
    running.push(request.name);
    started.push(request.name);
    most = Math.max(most, running.length);
    try {
      return await real(request);
    } finally {
      running.splice(running.indexOf(request.name), 1);
    }
  });
  const me = host.as(agentOf({ id: "1" }));
  const names = Array.from({ length: 20 }, (_, n) => (n < 15 ? `task ${n}` : "the same"));
  const results = await Promise.allSettled(
    names.map((name) => me.call("task.create", { project: "demo", name, prompt: "wait", backend: "shell" })),
  );
  assert.equal(most, 5);
  assert.deepEqual(results.filter(({ status }) => status === "rejected").length, 4, "one of five equal names is made");
  assert.deepEqual(started.slice(0, 5).sort(), names.slice(0, 5).sort());
  assert.deepEqual(new Set(started), new Set(names));
});

test("WORKTREE-07, WORKTREE-09: a creation can be cancelled in the middle of its set-up, and nothing is left of it", async () => {
  await using host = await startHost();
  await workspace(host, 'ports = 1\nsetup = [["/bin/sleep", "1000000"]]\n');
  const before = await traces(host);
  const underWay = () =>
    host.eventually(async () => {
      const { creations } = await host.call<{ creations: { id: string; step: string }[] }>("task.creations");
      return creations.find(({ step }) => step.startsWith("setup"));
    }, "the set-up");
  const creating = assert.rejects(create(host), /cancelled by owner; nothing is left of it/);
  const { id } = await underWay();
  await assert.rejects(host.as(agentOf({ id: "7" })).call("task.cancel_creation", { creation: id }), /only what it created itself/);
  await host.call("task.cancel_creation", { creation: id });
  await creating;
  assert.deepEqual(await traces(host), before);
  await assert.rejects(host.call("task.cancel_creation", { creation: id }), /No creation "1" is under way/);

  // The caller goes away.
  const gone = new AbortController();
  const asked = host.system.gate.call("task.create", { project: "demo", prompt: "wait" }, { caller: OWNER, signal: gone.signal });
  const rejected = assert.rejects(asked, /cancelled; nothing is left of it/);
  await underWay();
  gone.abort();
  await rejected;
  assert.deepEqual(await traces(host), before);

  // The daemon stops; it undoes what it began before it goes.
  const last = assert.rejects(create(host), /daemon is stopping/);
  await underWay();
  await host.restart();
  await last;
  assert.deepEqual(await traces(host), before);
});

onBothStores("WORKTREE-10: the database refuses two tasks with one worktree", async (store) => {
  const tasks = new Tasks(store, new Events(store, new TestClock()), new TestClock());
  const row = {
    ...{
      name: "one",
      auto_named: 0,
      status: "pending",
      project: "demo",
      branch: "b",
      worktree: "/w/1",
      prompt: "",
      backend: "",
      model: "",
    },
    ...{
      base_branch: "",
      base_commit: "",
      depends_on: "[]",
      plan_slug: "",
      sandboxed: 0,
      port_base: null,
      workspace: null,
      created_by: "x",
    },
  };
  const first = await tasks.insert(row);
  await assert.rejects(tasks.insert({ ...row, name: "two" }), /unique/i);
  await tasks.setArchived(first, true);
  await assert.rejects(tasks.insert({ ...row, name: "two" }), /unique/i);
  await tasks.remove(first, null);
  await tasks.insert({ ...row, name: "two" });
});

test("WORKTREE-11: a fresh worktree is clean for every seeded backend, with attachments and a tracked .mcp.json", async () => {
  await using host = await startHost();
  commit(host.repo, { ".mcp.json": "{}", ".codex/config.toml": "", "opencode.json": "{}" });
  for (const { name } of await host.system.services.backends.all()) {
    if (name.startsWith("fixture-") || name === "shell" || name === "argus") continue;
    await agent(host, name, "#!/bin/sh\nexec sleep 1000000\n", { backend: `stub ${name}` });
    const task = await create(host, { name: `with ${name}`, backend: `stub ${name}`, files: [{ name: "notes.md", base64: "YQ==" }] });
    assert.equal(git(task.worktree_path, "status", "--porcelain"), "", name);
    assert.ok(fs.existsSync(path.join(task.worktree_path, ".context", "notes.md")));
    assert.ok(task.prompt.endsWith("\n\nFiles:\n- ./.context/notes.md"));
  }
  assert.equal(git(host.repo, "status", "--porcelain"), "");
});

test("WORKTREE-12: all of a workspace file is used, and keys nobody knows are reported", async () => {
  await using host = await startHost();
  commit(host.repo, { ".gitignore": ".env*\n" });
  fs.writeFileSync(path.join(host.repo, ".env.local"), "SECRET=1", { mode: 0o600 });
  const text =
    'copy = [".env*"]\nports = 3\nsetup = [["/bin/sh", "-c", "printf %s \\"$GREETING\\" > greeting.txt"]]\nteardown = []\nsetup_timeout = 60\nteardown_timeout = 5\nfuture = true\n[env]\nGREETING = "hello ${slug}"\n';
  await workspace(host, text);
  const task = await create(host, { name: "one" });
  assert.equal(task.notice, ".argus/workspace.toml holds unknown keys: future.");
  assert.equal(fs.readFileSync(path.join(task.worktree_path, "greeting.txt"), "utf8"), "hello one");
  assert.equal(fs.statSync(path.join(task.worktree_path, ".env.local")).mode & 0o777, 0o600);
  assert.deepEqual(await host.call("project.workspace", { name: "demo" }), {
    present: true,
    sha256: hash(text),
    accepted: true,
    contract: {
      copy: [".env*"],
      env: { GREETING: "hello ${slug}" },
      ports: 3,
      setup: [["/bin/sh", "-c", `printf %s "$GREETING" > greeting.txt`]],
      teardown: [],
      setupTimeoutS: 60,
      teardownTimeoutS: 5,
      unknownKeys: ["future"],
    },
  });
});

onBothStores(
  "WORKTREE-14: fifty parallel tasks get fifty blocks of ten ports that nobody listens on, kept until the task is deleted",
  async (store) => {
    const tasks = new Tasks(store, new Events(store, new TestClock()), new TestClock());
    const busy = 42_020;
    const free = async (first: number) => first !== busy;
    const ports = new Ports(store, { ports: { free } } as unknown as Node);
    const take = async (n: number) => {
      const port_base = await ports.take();
      return tasks.insert({
        ...{ name: `${n}`, auto_named: 0, status: "pending", project: "demo", branch: "b", worktree: `/w/${n}`, prompt: "", backend: "" },
        ...{ model: "", base_branch: "", base_commit: "", depends_on: "[]", plan_slug: "", sandboxed: 0, workspace: null, created_by: "x" },
        port_base,
      });
    };
    const rows = await Promise.all(Array.from({ length: 50 }, (_, n) => take(n)));
    const blocks = rows.map((row) => Number(row.port_base)).sort((a, b) => a - b);
    assert.equal(new Set(blocks).size, 50);
    assert.ok(blocks.every((base) => base % 10 === 0 && base >= 42_000 && base + 9 <= 45_999 && base !== busy));
    const first = rows.find((row) => Number(row.port_base) === 42_000) ?? assert.fail();
    assert.notEqual(await new Ports(store, { ports: { free } } as unknown as Node).take(), 42_000);
    await tasks.remove(first, null);
    assert.equal(await new Ports(store, { ports: { free } } as unknown as Node).take(), 42_000);
  },
);

test("WORKTREE-14, WORKTREE-15: environment and ports reach agent, set-up and teardown alike, and only as many ports as asked for", async () => {
  await using host = await startHost();
  const note = path.join(host.home, "note");
  const save = `["/bin/sh", "-c", "echo $URL $ARGUS_PORT $ARGUS_PORT_1 $ARGUS_PORT_2 >> ${note}"]`;
  await workspace(
    host,
    `ports = 2\nsetup = [${save}]\nteardown = [${save}]\n[env]\nURL = "http://localhost:\${port}/\${slug}"\nFROM = "\${project_path}:\${worktree}:\${other}"\nARGUS_TASK_ID = "stolen"\n`,
  );
  const backend = await agent(host, "env", PRINTS_ENV);
  const task = await create(host, { name: "one", backend });
  const base = Number((await host.system.services.tasks.byId(task.id)).port_base);
  const expected = {
    URL: `http://localhost:${base}/one`,
    FROM: `${host.repo}:${task.worktree_path}:\${other}`,
    ARGUS_PORT: String(base),
    ARGUS_PORT_1: String(base + 1),
  };
  const env = await said<Record<string, string>>(host, task.id, "env");
  assert.partialDeepStrictEqual(env, { ...expected, ARGUS_TASK_ID: task.id });
  assert.equal(env.ARGUS_PORT_2, undefined);
  // A later run has the same, whatever the file says by then.
  fs.rmSync(path.join(task.worktree_path, ".argus"), { recursive: true });
  await host.call("task.stop", { id: task.id });
  await host.call("task.resume", { id: task.id });
  assert.partialDeepStrictEqual(await said<Record<string, string>>(host, task.id, "env"), expected);
  await host.call("task.delete", { id: task.id, force: true });
  const line = `${expected.URL} ${base} ${base + 1}\n`;
  assert.equal(fs.readFileSync(note, "utf8"), line + line);
});

test("WORKTREE-15: only the four known places are filled in", () => {
  assert.deepEqual(
    environmentOf(
      { env: { A: "${port}|${slug}|${worktree}|${project_path}|${HOME}|$port" }, ports: 0 },
      { project: "/p", worktree: "/w", slug: "s", portBase: null },
    ),
    { A: "|s|/w|/p|${HOME}|$port" },
  );
});

test("WORKTREE-16: set-up runs only for the version a person accepted; one byte more asks again, and an agent cannot accept", async () => {
  await using host = await startHost({ rest: true });
  const text = 'ports = 1\nsetup = [["/bin/sh", "-c", "echo ran > ran.txt"]]\n[env]\nA = "1"\n';
  const sha256 = await workspace(host, text, { accept: false });
  const ran = (task: { worktree_path: string }) => fs.existsSync(path.join(task.worktree_path, "ran.txt"));
  const before = await create(host, { name: "before" });
  assert.equal(ran(before), false);
  assert.ok(before.notice?.includes(`argus project consent demo ${sha256}`));
  const { port_base, workspace: kept } = await host.system.services.tasks.byId(before.id);
  assert.deepEqual([port_base, kept], [null, null]);

  await assert.rejects(host.as(agentOf(before)).call("project.consent", { name: "demo", sha256 }), /Only a person/);
  assert.equal((await host.rest("POST", "/api/projects/demo/consent", { sha256: hash("other") })).status, 409);
  assert.equal((await host.rest("POST", "/api/projects/demo/consent", { sha256 })).status, 200);
  const after = await create(host, { name: "after" });
  assert.deepEqual([ran(after), after.notice], [true, undefined]);

  const changed = await workspace(host, `${text}\n`, { accept: false });
  const again = await create(host, { name: "again" });
  assert.deepEqual([ran(again), again.notice?.includes(changed)], [false, true]);
  await host.call("project.update", { name: "demo", path: `${host.repo}/` });
  assert.equal(await host.system.services.projects.accepts("demo", sha256), false, "another repository was never accepted");
});

test("WORKTREE-16: a version that only a task's base branch holds can be read and accepted too", async () => {
  await using host = await startHost();
  git(host.repo, "checkout", "-q", "-b", "next");
  const sha256 = await workspace(host, 'setup = [["/bin/sh", "-c", "echo ran > ran.txt"]]\n', { accept: false });
  git(host.repo, "checkout", "-q", "main");
  await create(host, { name: "first", base_branch: "next" });
  await host.call("project.consent", { name: "demo", sha256 });
  const second = await create(host, { name: "second", base_branch: "next" });
  assert.ok(fs.existsSync(path.join(second.worktree_path, "ran.txt")));
});

test("WORKTREE-12: a workspace file that cannot be read is reported and does not stop the task", async () => {
  await using host = await startHost();
  commit(host.repo, { ".argus/workspace.toml": "ports = 99\n" });
  const task = await create(host);
  assert.equal(task.status, "in_progress");
  assert.match(task.notice ?? "", /was not run\. .*ports must be a whole number from 0 to 10/);
});

test("an agent and its worktree's files get the umask of the user", async () => {
  await using host = await startHost();
  const task = await create(host, {
    backend: await agent(host, "mask", '#!/bin/sh\ntouch made.txt\necho "mask \\"$(umask)\\""\nexec sleep 1000000\n'),
  });
  const expected = process.umask();
  assert.equal(Number.parseInt(await said<string>(host, task.id, "mask"), 8), expected);
  for (const name of ["made.txt", "README.md"])
    assert.equal(fs.statSync(path.join(task.worktree_path, name)).mode & 0o777, 0o666 & ~expected, name);
});

test("no secret of the daemon reaches a set-up command", async () => {
  await using host = await startHost({ env: { ARGUS_TOKEN: "top-secret", PORT: "1" } });
  await workspace(host, `setup = [["${program(host, "dump", "#!/bin/sh\n/usr/bin/env > env.txt\n")}"]]\n`);
  const task = await look(host, (await create(host)).id);
  const env = fs.readFileSync(path.join(task.worktree_path, "env.txt"), "utf8");
  assert.ok(!env.includes("top-secret") && !/^PORT=/m.test(env));
  assert.match(env, new RegExp(`^HOME=${path.join(host.home, "user")}$`, "m"));
});
