/** The logs of Argus itself: how large they get, who may read them, and what is kept. */
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { startHost } from "../src/host.ts";
import { openLog, rotateHeld } from "../src/kernel/log.ts";

const MIB = 1024 * 1024;

function folder(t: TestContext): string {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), "argus-log-"));
  t.after(() => fs.rmSync(made, { recursive: true, force: true }));
  return made;
}
const sizes = (at: string) => Object.fromEntries(fs.readdirSync(at).map((name) => [name, fs.statSync(path.join(at, name)).size]));

test("LIFECYCLE-24: after 50 MiB the daemon's log has rotated at 10 MiB, three older files are kept, and the newest lines are in the newest", (t) => {
  const at = folder(t);
  const { log, close } = openLog(path.join(at, "daemon.log"), (line) => line);
  const filler = "x".repeat(64 * 1024);
  for (let n = 0; n < (50 * MIB) / filler.length; n++) log.info({ n, filler });
  log.info("the last line");
  close();
  const found = sizes(at);
  assert.deepEqual(Object.keys(found).sort(), ["daemon.log", "daemon.log.1", "daemon.log.2", "daemon.log.3"]);
  for (const [name, size] of Object.entries(found)) {
    assert.ok(size < 11 * MIB, `${name} has ${size} bytes`);
    assert.equal(fs.statSync(path.join(at, name)).mode & 0o777, 0o600);
  }
  assert.match(fs.readFileSync(path.join(at, "daemon.log"), "utf8"), /the last line"}\n$/);
});

test("LIFECYCLE-24: a log that another process holds open is rotated under it, and it goes on at the start of the emptied file", (t) => {
  const at = folder(t);
  const file = path.join(at, "supervisor.log");
  const fd = fs.openSync(file, "a", 0o600);
  for (let round = 0; round < 5; round++) {
    fs.writeSync(fd, `round ${round}\n${"x".repeat(10 * MIB)}\n`);
    rotateHeld(file);
    rotateHeld(file); // below the limit: nothing to do
  }
  fs.writeSync(fd, "goes on\n");
  fs.closeSync(fd);
  assert.equal(fs.readFileSync(file, "utf8"), "goes on\n");
  const first = (name: string) => fs.readFileSync(path.join(at, name), "utf8").split("\n")[0];
  assert.deepEqual(
    [".1", ".2", ".3"].map((end) => first(`supervisor.log${end}`)),
    ["round 4", "round 3", "round 2"],
  );
  assert.equal(Object.keys(sizes(at)).length, 4);
});

test("LIFECYCLE-24: a running daemon rotates the supervisor's log, and keeps a task's output in sessions/<id>.log", async () => {
  await using host = await startHost();
  fs.appendFileSync(path.join(host.home, "supervisor.log"), "x".repeat(11 * MIB));
  host.clock.advance(60_000);
  await host.eventually(() => fs.existsSync(path.join(host.home, "supervisor.log.1")), "the supervisor's log to rotate");
  const task = await host.call<{ id: string }>("task.create", { project: "demo", prompt: "wait" });
  await host.eventually(() => fs.existsSync(path.join(host.home, "sessions", `${task.id}.log`)), "the task's log");
});
