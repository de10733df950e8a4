/** One supervisor per home, found by its socket, and nothing left behind when it goes. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { connectSupervisor, holdLock, startSupervisor, supervisorPaths } from "../src/client.ts";
import { processFact } from "../src/processes.ts";
import { alive, folder, startHost, startMain, until } from "./host.ts";

test("SUPERVISOR-01: an agent is a child of the supervisor, and of nobody else", async () => {
  await using host = await startHost();
  const { pid } = await host.spawn("a", ["idle"]);
  assert.equal(processFact(pid)?.parent, host.client.hello.pid);
});

test("SUPERVISOR-02: the socket has mode 0600 in a folder of mode 0700, and agents keep the usual mask", async () => {
  await using host = await startHost();
  assert.equal((statSync(host.paths.socket).mode & 0o777).toString(8), "600");
  assert.equal((statSync(host.home).mode & 0o777).toString(8), "700");
  await host.spawn("a", ["/bin/sh", "-c", "umask; sleep 1000"]);
  await host.said("a", process.umask().toString(8).padStart(4, "0"));
});

test("SUPERVISOR-03: startSupervisor starts one in a session of its own, and the second call finds it", async () => {
  using home = folder();
  const first = await startSupervisor({ home: home.path });
  const second = await startSupervisor({ home: home.path });
  const { pid } = first.client.hello;
  assert.deepEqual([first.started, second.started, second.client.hello.pid], [true, false, pid]);
  assert.equal(processFact(pid)?.session, pid);
  await first.client.shutdown();
  await until("its end", () => !alive(pid));
});

test("SUPERVISOR-11: of 20 started at once one survives and all others exit 0, also after kill -9 of the holder", async () => {
  using home = folder();
  const paths = supervisorPaths(home.path);
  for (let round = 0; round < 2; round++) {
    const started = Array.from({ length: round ? 6 : 20 }, () => startMain(home.path));
    const codes: (number | null)[] = [];
    for (const child of started) child.once("exit", (code) => codes.push(code));
    await until("all but one ended", () => codes.length === started.length - 1, 60_000);
    assert.deepEqual(
      codes,
      Array.from({ length: started.length - 1 }, () => 0),
    );
    const survivor = started.find((child) => child.exitCode === null);
    const client = await until("an answer", () => connectSupervisor(paths.socket).catch(() => null));
    assert.equal(client.hello.pid, survivor?.pid);
    assert.equal(Number(readFileSync(paths.pid, "utf8")), survivor?.pid);
    client.close();
    survivor?.kill("SIGKILL");
    if (survivor) await once(survivor, "exit");
  }
  assert.ok(existsSync(paths.lock), "the lock file is never removed");
});

test("SUPERVISOR-11: holdLock gives the lock to one at a time and tells the other null", async () => {
  using home = folder();
  const path = join(home.path, "x.lock");
  const first = await holdLock(path, { waitMs: 0 });
  assert.equal(await holdLock(path, { waitMs: 60 }), null);
  first?.release();
  const again = await holdLock(path, { waitMs: 0 });
  assert.ok(again);
  again.release();
});

test("SUPERVISOR-12: socket and pid file stay when the pid file names another process", async () => {
  using home = folder();
  const paths = supervisorPaths(home.path);
  for (const foreign of [false, true]) {
    const child = startMain(home.path);
    const client = await until("an answer", () => connectSupervisor(paths.socket).catch(() => null));
    if (foreign) writeFileSync(paths.pid, "1\n");
    child.kill("SIGTERM");
    const [code] = await once(child, "exit");
    await client.closed;
    assert.deepEqual([code, existsSync(paths.socket), existsSync(paths.pid)], [0, foreign, foreign]);
  }
});

test("SUPERVISOR-13: the supervisor stands in the home directory, whatever it was started from", async () => {
  await using host = await startHost();
  assert.equal(readlinkSync(`/proc/${host.client.hello.pid}/cwd`), homedir());
});

test("SUPERVISOR-14: a socket path over the system's limit is refused with path and limit", async () => {
  using home = folder();
  const long = join(home.path, "x".repeat(120));
  mkdirSync(long);
  const child = startMain(long);
  const [code] = await once(child, "exit");
  assert.equal(code, 1);
  await assert.rejects(
    startSupervisor({ home: long }),
    (error: Error) => error.message.includes(join(long, "supervisor.sock")) && error.message.includes("108"),
  );
});

test("SUPERVISOR-06: SIGTERM hangs up every agent and removes socket and pid file", async () => {
  await using host = await startHost();
  const pids = await Promise.all(["a", "b", "c"].map(async (id) => (await host.spawn(id, ["idle"])).pid));
  host.process.kill("SIGTERM");
  const [code] = await once(host.process, "exit");
  assert.deepEqual([code, pids.some(alive), existsSync(host.paths.socket)], [0, false, false]);
  writeFileSync(host.paths.pid, "0");
});
