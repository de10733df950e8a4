/** The interactive face in a terminal of its own: what it says of the daemon, and what it leaves running. */
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { isAlive } from "../../daemon/src/host.ts";
import { eventually, ROOT, Scratch } from "./scratch.ts";

test("LIFECYCLE-07, LIFECYCLE-01: the face starts a missing daemon, shows an empty list, and leaves both daemon and terminal in order", async () => {
  await using scratch = new Scratch();
  await using face = scratch.terminal([], { cols: 80, rows: 24 });
  await face.until("No tasks yet.");
  await using second = scratch.terminal([], { cols: 120, rows: 40 });
  await second.until("No tasks yet.");
  const pid = scratch.pid() as number;
  for (const one of [face, second]) {
    one.write("q");
    await one.until("\x1b[?1049l");
    assert.equal(await one.exited, 0);
  }
  assert.ok(isAlive(pid), "the daemon goes on");
  assert.equal(scratch.pid(), pid);
});

test("LIFECYCLE-11: a face of another build than the daemon's says so and restarts the daemon when asked; agents go on", async () => {
  await using scratch = new Scratch();
  const old = path.join(scratch.home, "old");
  fs.cpSync(path.join(ROOT, "packages"), path.join(old, "packages"), {
    recursive: true,
    filter: (file) => !/\/(node_modules|dist|test)$/.test(file),
  });
  fs.symlinkSync(path.join(ROOT, "node_modules"), path.join(old, "node_modules"));
  const main = path.join(old, "packages", "daemon", "src", "main.ts");
  fs.appendFileSync(main, "// An older build.\n");
  const older = scratch.spawn(process.execPath, ["--disable-warning=ExperimentalWarning", main, "--home", scratch.argus]);
  await scratch.answering(older.child.pid);
  const build = async () => (await scratch.json<{ build: string }>("daemon", "status")).build;
  const before = await build();
  assert.match(await scratch.ok("daemon", "status"), /runs another build than this command; `argus daemon restart`/);
  await scratch.ok("project", "create", "demo", scratch.repository(), "--backend", "shell");
  const { id } = await scratch.json<{ id: string }>("task", "create", "demo", "sleep 1000");
  const { supervisor } = await scratch.json<{ supervisor: { pid: number } }>("daemon", "status");
  {
    await using face = scratch.terminal([], { cols: 120, rows: 30 });
    await face.until("The daemon runs another build than this one. R restarts it; agents go on.");
    face.write("R");
    await face.until("The daemon runs this build now.");
    face.write("q");
    assert.equal(await face.exited, 0);
  }
  assert.deepEqual(await older.exited, { code: 0, signal: null });
  assert.notEqual(await build(), before);
  assert.ok(!(await scratch.ok("daemon", "status")).includes("another build"));
  const after = await scratch.json<{ supervisor: { pid: number } }>("daemon", "status");
  assert.equal(after.supervisor.pid, supervisor.pid);
  await eventually(async () => (await scratch.json<{ status: string }>("task", "get", id)).status === "in_progress", "the agent to go on");
});
