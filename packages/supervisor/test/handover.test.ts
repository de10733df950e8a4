/** A newer supervisor takes over in the same process, and agents and viewers do not notice. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readLog, type SupervisorClient } from "../src/client.ts";
import { collect, type Host, startHost, until } from "./host.ts";
import { describeTerminal, feed, newTerminal } from "./screens.ts";

async function handOver(host: Host): Promise<SupervisorClient> {
  const old = host.client;
  await old.shutdown({ handover: true });
  await old.closed;
  host.client = await until("the new image answers", () => host.connect().catch(() => null));
  assert.equal(host.client.hello.pid, old.hello.pid);
  return host.client;
}

test("SUPERVISOR-09: through three handovers no numbered line is lost or doubled, and the exit status is right", async () => {
  await using host = await startHost();
  const { pid } = await host.spawn("a", ["numbered", "400", "2400", "9"]);
  const seen = collect();
  let since = 0;
  for (let round = 0; round < 3; round++) {
    await host.client.watch("a", seen.handlers, { since });
    await until("more lines", () => seen.text().includes(`line ${round * 200 + 100}\r\n`));
    await handOver(host);
    since = seen.state.head;
    assert.equal((await host.info("a")).pid, pid);
  }
  await host.client.watch("a", seen.handlers, { since });
  const exit = await host.ended("a");
  assert.deepEqual([exit.code, exit.signal, exit.stopped], [9, null, false]);
  await until("the end", () => seen.state.exit);
  const lines = Array.from({ length: 2400 }, (_, i) => `line ${i + 1}\r\n`).join("");
  assert.deepEqual([seen.state.pictures, seen.bytes().toString() === lines], [0, true]);
  assert.equal((await readLog(join(host.home, "sessions", "a.log"), 0, 1e6)).bytes.toString(), lines);
});

test("SUPERVISOR-09: screen, size, offsets, uncollected exits and pending input survive a handover", async () => {
  await using host = await startHost();
  await host.spawn("gone", ["crash", "5"]);
  await host.ended("gone");
  await host.spawn("kill", ["crash", "KILL"]);
  await host.ended("kill");
  const script = String.raw`stty raw -echo; printf '\033]2;a title\007\033[?2004h\033[31mred\033[0m \033[1;4mbold\033[0m\r\n'; seq 1 300; printf '\033[?1049h\033[5;10H\033[38;2;1;2;3mfull screen\033[?25l'; while [ ! -e go ]; do sleep 0.05; done; dd bs=1 count=100000 iflag=fullblock 2>/dev/null | sha256sum; sleep 1000`;
  await host.spawn("a", ["/bin/sh", "-c", script], { cols: 60, rows: 15, offset: 1_000_000 });
  await host.said("a", "full screen");
  await host.client.resize("a", 66, 16);
  const before = { info: await host.info("a"), shot: await host.client.snapshot("a", { scrollback: 3000 }) };
  const input = Buffer.alloc(100_000, "0123456789");
  await host.client.input("a", input);
  const exits = (await host.client.list()).filter((session) => session.exit);
  await handOver(host);
  assert.deepEqual(
    (await host.client.list()).filter((session) => session.exit),
    exits,
  );
  const after = { info: await host.info("a"), shot: await host.client.snapshot("a", { scrollback: 3000 }) };
  assert.deepEqual({ ...after.info, lastInputAt: 0 }, { ...before.info, lastInputAt: 0 });
  const screen = (data: Buffer) => {
    const terminal = newTerminal(66, 16);
    feed(terminal, data);
    return describeTerminal(terminal);
  };
  assert.deepEqual(screen(after.shot.data), screen(before.shot.data));
  const { createHash } = process.getBuiltinModule("node:crypto");
  process.getBuiltinModule("node:fs").writeFileSync(join(host.home, "go"), "");
  await host.said("a", createHash("sha256").update(input).digest("hex"));
  await host.client.collect("gone");
  const exit = host.ended("a");
  await host.client.signal("a", "SIGTERM", { killAfterMs: 1_000 });
  assert.deepEqual([(await exit).signal, (await exit).stopped], ["SIGTERM", true]);
});

test("SUPERVISOR-29: after a handover an agent still inherits descriptors 0, 1 and 2 only, and none was leaked", async () => {
  await using host = await startHost();
  await host.spawn("a", ["idle"]);
  await host.said("a", "idle");
  const open = () =>
    readdirSync(`/proc/${host.client.hello.pid}/fd`)
      .map((fd) => {
        try {
          return readlinkSync(`/proc/${host.client.hello.pid}/fd/${fd}`);
        } catch {
          return "";
        }
      })
      .filter((target) => /ptmx|pts|supervisor\.lock/.test(target))
      .map((target) => target.replace(/\d+$/, "n"))
      .sort();
  const before = open();
  await handOver(host);
  await handOver(host);
  assert.deepEqual(open(), before);
  await host.spawn("b", ["fds"]);
  await host.ended("b");
  const { bytes } = await readLog(join(host.home, "sessions", "b.log"), 0, 1e5);
  const listed = [...bytes.toString().matchAll(/ (\d+) -> (\S+)/g)].map(([, fd, target]) => `${fd} ${target?.replace(/\d+/g, "n")}`);
  assert.deepEqual(
    listed.filter((line) => !line.endsWith(" /proc/n/fd")),
    ["0 /dev/pts/n", "1 /dev/pts/n", "2 /dev/pts/n"],
  );
  assert.equal(readFileSync(host.paths.pid, "utf8").trim(), String(host.client.hello.pid));
});

test("SUPERVISOR-09: a handover that cannot work is refused, and the old program runs on with its connections", async () => {
  await using host = await startHost();
  const { mkdirSync, rmSync } = process.getBuiltinModule("node:fs");
  await host.spawn("a", ["numbered", "200"]);
  const seen = collect();
  await host.client.watch("a", seen.handlers, { since: 0 });
  // A folder where the file should go: the state cannot be written.
  mkdirSync(join(host.paths.handover, "x"), { recursive: true });
  await assert.rejects(host.client.shutdown({ handover: true }), { code: "UNAVAILABLE" });
  const lines = seen.text().length;
  await until("more lines on the same connection", () => seen.text().length > lines + 500);
  const text = seen.text();
  for (let n = 1; n <= 50; n++) assert.equal(text.split(`line ${n}\r\n`).length, 2, `line ${n}`);
  rmSync(host.paths.handover, { recursive: true });
  await host.spawn("b", ["echo"]);
  await handOver(host);
  await host.said("b", "ready");
});
