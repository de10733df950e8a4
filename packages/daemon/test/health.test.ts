/** Argus looking at itself: one broken thing per test, and the check that names it. */
import assert from "node:assert/strict";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { test } from "node:test";
import { supervisorVersion } from "../src/features/health/checks.ts";
import { diskCheck, lingerCheck, sleepOfLinux, sleepOfMac } from "../src/features/health/deep.ts";
import { type Host, startHost } from "../src/host.ts";

interface Check {
  name: string;
  status: string;
  evidence: string;
}
const look = async (host: Host, deep = false) => (await host.call<{ checks: Check[] }>("health", { deep })).checks;
const named = (checks: Check[], name: string) => checks.find((check) => check.name === name) ?? assert.fail(`no check ${name}`);

test("LIFECYCLE-27: a token file others can read, and a home folder they can enter, fail with the command that repairs them", async () => {
  await using host = await startHost();
  assert.equal(named(await look(host), "mode of api-token").status, "pass");
  fs.chmodSync(path.join(host.home, "api-token"), 0o644);
  fs.chmodSync(host.home, 0o755);
  const checks = await look(host);
  assert.deepEqual(named(checks, "mode of api-token"), {
    name: "mode of api-token",
    status: "fail",
    evidence: `644 instead of 600: chmod 600 ${host.home}/api-token`,
  });
  assert.equal(named(checks, "mode of home folder").status, "fail");
});

test("LIFECYCLE-27: a port another program holds is named, with the one used instead", async () => {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  {
    await using host = await startHost({ env: { ARGUS_MCP_PORT: String(port) } });
    const check = named(await look(host), "mcp");
    assert.equal(check.status, "warn");
    assert.match(check.evidence, new RegExp(`^http://127\\.0\\.0\\.1:\\d+/mcp: port ${port} belongs to another program`));
  }
  await new Promise<void>((resolve) => server.close(() => resolve()));
});

test("LIFECYCLE-27: versions of agent CLIs, worktree entries whose folder is gone and folders without a task", async () => {
  const bin = fs.mkdtempSync(path.join(fs.realpathSync("/tmp"), "argus-bin-"));
  fs.writeFileSync(path.join(bin, "claude"), "#!/bin/sh\necho '9.9.9 (Claude Code)'\n", { mode: 0o755 });
  fs.writeFileSync(path.join(bin, "codex"), "#!/bin/sh\nexit 3\n", { mode: 0o755 });
  const before = process.env.PATH;
  process.env.PATH = `${bin}:${before}`;
  try {
    await using host = await startHost();
    const task = await host.call<{ id: string }>("task.create", { project: "demo", prompt: "wait" });
    const { worktree_path } = await host.call<{ worktree_path: string }>("task.get", { id: task.id });
    const clean = await look(host, true);
    assert.deepEqual(named(clean, "version of claude").evidence, "9.9.9 (Claude Code)");
    assert.deepEqual(
      [named(clean, "version of codex").status, named(clean, "version of codex").evidence],
      ["warn", "It does not say its version (exit status 3); is it installed completely?"],
    );
    assert.equal(named(clean, "worktrees").status, "pass");
    assert.match(named(clean, "disk").evidence, /^worktrees take \d+\.\d GB, \d+\.\d GB are free/);
    assert.ok(named(clean, "sleep"));
    fs.rmSync(worktree_path, { recursive: true });
    const orphan = path.join(host.home, "worktrees", "demo", "left-behind");
    fs.mkdirSync(orphan);
    const broken = await look(host, true);
    assert.match(named(broken, "worktrees of demo").evidence, new RegExp(`git lists ${fs.realpathSync(host.home)}.*which is gone`));
    assert.match(named(broken, "worktrees").evidence, /no task names .*left-behind/);
  } finally {
    process.env.PATH = before;
    fs.rmSync(bin, { recursive: true });
  }
});

test("LIFECYCLE-27: disk use, linger, sleep and an older supervisor, each good and bad", () => {
  const words = (check: { status: string; evidence: string } | null) => check && [check.status, check.evidence.split(/[:.] /)[0]];
  assert.deepEqual(words(diskCheck(1e9, 1e11, 20)), ["pass", "worktrees take 1.0 GB, 100.0 GB are free"]);
  assert.deepEqual(words(diskCheck(21e9, 1e11, 20)), ["warn", "worktrees take 21.0 GB, 100.0 GB are free"]);
  assert.deepEqual(words(diskCheck(1e9, 1e8, 20))?.[0], "warn");
  assert.equal(lingerCheck(undefined), null);
  assert.deepEqual(words(lingerCheck("Linger=no\n")), ["warn", "off"]);
  assert.deepEqual(words(lingerCheck("Linger=yes\n")), ["pass", "on"]);
  const linux = (states: string, masked: boolean, battery: boolean) => sleepOfLinux({ states, masked, battery }).status;
  assert.deepEqual(
    [linux("", false, true), linux("freeze mem disk", true, true), linux("mem", false, false), linux("mem", false, true)],
    ["pass", "pass", "pass", "warn"],
  );
  assert.deepEqual([sleepOfMac(" sleep  0\n").status, sleepOfMac(" sleep  10\n").status], ["pass", "warn"]);
  const hello = { pid: 1, protocol: 1, build: "x" };
  assert.equal(supervisorVersion(hello, 2).status, "pass");
  assert.match(supervisorVersion({ ...hello, protocol: 0 }, 2).evidence, /older protocol than 1.*session-supervisor upgrade/);
});
