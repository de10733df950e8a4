/** What an agent gets, what it may do to its terminal, and how its end is told. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readLog } from "../src/client.ts";
import { processFact } from "../src/processes.ts";
import { collect, startHost, until } from "./host.ts";

const sha = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

test("SESSION-03: the agent leads its session and process group and has the PTY as terminal", async () => {
  await using host = await startHost();
  const { pid } = await host.spawn("a", ["/bin/sh", "-c", 'cut -d" " -f7 /proc/$$/stat; tty; sleep 1000']);
  const text = await host.said("a", "/dev/pts/");
  const fact = processFact(pid);
  assert.deepEqual([fact?.group, fact?.session], [pid, pid]);
  assert.notEqual(Number(/^(?:\x1bc)?(\d+)/.exec(text)?.[1]), 0);
});

test("SUPERVISOR-19: environment, arguments and directory arrive exactly as given, and nothing is added", async () => {
  await using host = await startHost();
  const env = { PATH: process.env.PATH as string, ODD: "a b\n$(x) ö", EMPTY: "" };
  await host.spawn("a", ["env", "-x", "", "two words", "$(touch p)"], { env, cols: 400 });
  await host.ended("a");
  const { bytes } = await readLog(join(host.home, "sessions", "a.log"), 0, 1e6);
  const said = JSON.parse(bytes.toString());
  assert.deepEqual(said, { argv: ["-x", "", "two words", "$(touch p)"], cwd: host.home, env });
});

test("SUPERVISOR-29: an agent holds descriptors 0, 1 and 2 only, with other sessions and clients open", async () => {
  await using host = await startHost();
  for (const id of ["x", "y", "z"]) await host.spawn(id, ["idle"]);
  await host.connect();
  const { pid } = await host.spawn("a", ["fds"]);
  await host.ended("a");
  const { bytes } = await readLog(join(host.home, "sessions", "a.log"), 0, 1e5);
  const open = [...bytes.toString().matchAll(/ (\d+) -> (\S+)/g)].map(([, fd, target]) => `${fd} ${target?.replace(/\d+/g, "n")}`);
  assert.ok(pid > 0);
  assert.deepEqual(
    open.filter((line) => !line.endsWith(" /proc/n/fd")),
    ["0 /dev/pts/n", "1 /dev/pts/n", "2 /dev/pts/n"],
  );
});

test("SUPERVISOR-29: no terminal is inherited by a program that is not an agent either", async () => {
  await using host = await startHost();
  await host.spawn("a", ["idle"]);
  const flags = (pid: number) =>
    ["fdinfo"].flatMap((folder) => {
      const { readdirSync, readlinkSync } = process.getBuiltinModule("node:fs");
      return readdirSync(`/proc/${pid}/${folder}`).filter((fd) => {
        const target = readlinkSync(`/proc/${pid}/fd/${fd}`);
        const flagged =
          Number.parseInt(/flags:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8"))?.[1] ?? "0", 8) & 0o2000000;
        return (target.includes("ptmx") || target.startsWith("/dev/pts")) && !flagged && Number(fd) > 2;
      });
    });
  assert.deepEqual(flags(host.client.hello.pid), []);
});

test("SUPERVISOR-24: exit code and signal are exact, and kept until collected", async () => {
  await using host = await startHost();
  const exact = async (id: string, argv: string[]) => {
    await host.spawn(id, argv);
    const { code, signal, stopped } = await host.ended(id);
    return { code, signal, stopped };
  };
  assert.deepEqual(await exact("a", ["crash", "7"]), { code: 7, signal: null, stopped: false });
  assert.deepEqual(await exact("b", ["crash", "0"]), { code: 0, signal: null, stopped: false });
  assert.deepEqual(await exact("c", ["crash", "TERM"]), { code: null, signal: "SIGTERM", stopped: false });
  assert.deepEqual(await exact("d", ["crash", "KILL"]), { code: null, signal: "SIGKILL", stopped: false });
  await assert.rejects(host.spawn("a", ["idle"]), { code: "CONFLICT" });
  const later = await host.connect();
  assert.equal((await later.list()).find((session) => session.id === "a")?.exit?.code, 7);
  await later.collect("a");
  assert.equal(
    (await later.list()).some((session) => session.id === "a"),
    false,
  );
  await assert.rejects(later.collect("a"), { code: "NOT_FOUND" });
  await host.spawn("a", ["idle"]);
});

test("SESSION-45: the last output is in the log before the exit is told, 100 times", async () => {
  await using host = await startHost();
  for (let round = 0; round < 5; round++) {
    await Promise.all(
      Array.from({ length: 20 }, async (_, n) => {
        const id = `r${round}-${n}`;
        const ended = new Promise<void>((resolve) => host.client.onExit((which) => which === id && resolve()));
        await host.spawn(id, ["/bin/sh", "-c", "seq 1 2000; echo the end"]);
        await ended;
        const log = readFileSync(join(host.home, "sessions", `${id}.log`));
        const info = await host.info(id);
        assert.deepEqual([log.length, log.toString().endsWith("2000\r\nthe end\r\n")], [info.offset, true]);
      }),
    );
  }
});

test("SUPERVISOR-19: a program, a directory or a permission that is missing is said at once", async () => {
  await using host = await startHost();
  await assert.rejects(
    host.client.spawn({
      id: "a",
      argv: ["no-such-program"],
      env: { PATH: "/usr/bin" },
      cwd: "/",
      cols: 80,
      rows: 24,
      log: null,
      offset: 0,
      logMaxBytes: 0,
    }),
    /NOT_FOUND|No program no-such-program on PATH/,
  );
  await assert.rejects(host.spawn("a", ["/no/such/program"]), { code: "NOT_FOUND" });
  await assert.rejects(host.spawn("a", ["idle"], { cwd: "/no/such/folder" }), /working directory \/no\/such\/folder/);
  await assert.rejects(host.spawn("a", ["/etc/passwd"]), { code: "NOT_FOUND" });
  assert.deepEqual(await host.client.list(), []);
});

test("SUPERVISOR-20: offsets begin at the value given, and the last 256 KiB can be continued from", async () => {
  await using host = await startHost();
  const start = 5_000_000_000;
  await host.spawn("a", ["flood", String(1024 * 1024)], { offset: start });
  await host.ended("a");
  const info = await host.info("a");
  assert.deepEqual([info.base, info.offset, info.held], [start, start + 1024 * 1024, start + 786_432]);
  const kept = collect();
  await host.client.watch("a", kept.handlers, { since: start + 786_432 });
  await until("the exit", () => kept.state.exit);
  const log = await readLog(join(host.home, "sessions", "a.log"), start + 786_432, 1e7);
  assert.deepEqual([kept.state.pictures, sha(kept.bytes())], [0, sha(log.bytes)]);
  const lost = collect();
  await host.client.watch("a", lost.handlers, { since: start + 786_431 });
  await until("the exit", () => lost.state.exit);
  assert.deepEqual([lost.state.pictures, lost.state.head], [1, info.offset]);
  assert.equal((statSync(join(host.home, "sessions", "a.log")).mode & 0o777).toString(8), "600");
});

test("SUPERVISOR-25: 64 KiB written to an agent that reads slowly arrive complete and in order", async () => {
  await using host = await startHost();
  const script =
    "stty raw -echo; echo ready; i=0; while [ $i -lt 64 ]; do dd bs=1024 count=1 iflag=fullblock 2>/dev/null; sleep 0.02; i=$((i+1)); done | sha256sum";
  await host.spawn("a", ["/bin/sh", "-c", script]);
  await host.said("a", "ready");
  const bytes = Buffer.from(Array.from({ length: 65_536 }, (_, i) => (i * 7 + (i >> 8)) & 255));
  await host.client.input("a", bytes);
  await host.ended("a");
  await host.said("a", sha(bytes));
});

test("SESSION-30: 64 KiB writes of two viewers arrive unmixed, all 256 byte values as they are", async () => {
  await using host = await startHost();
  await host.spawn("a", ["echo"]);
  await host.said("a", "ready");
  const other = await host.connect();
  const from = (await host.info("a")).offset;
  const seen = collect();
  await host.client.watch("a", seen.handlers, { since: from });
  const block = (first: number) => Buffer.from(Array.from({ length: 65_536 }, (_, i) => (i % 2 ? (i >> 1) & 255 : first)));
  await Promise.all([host.client.input("a", block(1)), other.input("a", block(2))]);
  await until("all came back", () => seen.bytes().length === 131_072);
  const [first, second] = [seen.bytes().subarray(0, 65_536), seen.bytes().subarray(65_536)];
  assert.deepEqual([sha(first), sha(second)].sort(), [sha(block(1)), sha(block(2))].sort());
});

test("SESSION-31: the agent sees the size it was started with", async () => {
  await using host = await startHost();
  await host.spawn("a", ["resize"], { cols: 80, rows: 24 });
  await host.said("a", "size 24 80");
});

test("SESSION-32: the smallest columns and rows of all viewers hold, unchanged sizes do not signal, and the last one's size stays", async () => {
  await using host = await startHost();
  await host.spawn("a", ["resize"]);
  await host.said("a", "size 24 80");
  assert.deepEqual(await host.client.resize("a", 100, 30), { cols: 100, rows: 30 }, "with no viewer it simply applies");
  await host.said("a", "size 30 100");
  const other = await host.connect();
  const seen = collect();
  const one = await host.client.watch("a", seen.handlers, { viewer: "one" });
  const two = await other.watch("a", collect().handlers, { viewer: "two" });
  const shows = (size: string) => until(`the agent to say ${size}`, () => seen.text().trimEnd().endsWith(size));
  assert.deepEqual(await host.client.resize("a", 120, 40, "one"), { cols: 120, rows: 40 });
  await shows("size 40 120");
  assert.deepEqual(await other.resize("a", 48, 60, "two"), { cols: 48, rows: 40 });
  assert.deepEqual(await other.resize("a", 48, 50, "two"), { cols: 48, rows: 40 });
  await shows("size 40 48");
  two.close();
  await shows("size 40 120");
  one.close();
  const info = await host.info("a");
  assert.deepEqual([info.cols, info.rows], [120, 40]);
  const sizes = (await host.said("a", "size 40 120")).match(/size \d+ \d+/g);
  assert.deepEqual(sizes, ["size 24 80", "size 30 100", "size 40 120", "size 40 48", "size 40 120"]);
  assert.deepEqual(seen.resizes, ["120x40", "48x40", "120x40"]);
});

test("SESSION-18: a session says when it last produced output and took input, and null when it never did", async () => {
  await using host = await startHost();
  await host.spawn("a", ["echo"]);
  await host.said("a", "ready");
  await host.spawn("b", ["/bin/sleep", "1000"]);
  const before = await host.info("a");
  assert.deepEqual([before.lastOutputAt !== null, before.lastInputAt], [true, null]);
  await host.client.input("a", Buffer.from("x"));
  const after = await host.info("a", (info) => info.offset > before.offset);
  assert.ok(after.lastInputAt !== null && after.lastInputAt >= (before.lastOutputAt as number));
  assert.equal((await host.info("b")).lastOutputAt, null);
});

test("SUPERVISOR-21: the model answers the program's questions, at once and once, with no viewer or two", async () => {
  await using host = await startHost();
  const script = String.raw`stty raw -echo; printf 'abc\033[6n'; IFS= read -r -d R answer 2>/dev/null || answer=$(dd bs=1 count=6 2>/dev/null); printf '%s' "$answer" | od -An -c; printf '\033[c'; dd bs=1 count=7 2>/dev/null | od -An -c; sleep 1000`;
  for (const id of ["none", "two"]) {
    await host.spawn(id, ["/bin/bash", "-c", script]);
    if (id === "two") for (const client of [host.client, await host.connect()]) await client.watch(id, collect().handlers);
    const text = await host.said(id, "1   ;   2   c");
    assert.match(text, /033 +\[ +1 +; +4/);
  }
});

test("SUPERVISOR-21: a program that closes its terminal and goes on is neither hung up nor lost", async () => {
  await using host = await startHost();
  const { pid } = await host.spawn("a", [
    "/bin/sh",
    "-c",
    "exec </dev/null >/dev/null 2>&1; touch closed; while [ ! -e go ]; do sleep 0.05; done; echo back >/dev/tty; exit 5",
  ]);
  await until("the terminal is closed", () => existsSync(join(host.home, "closed")));
  assert.equal(processFact(pid)?.zombie, false);
  process.getBuiltinModule("node:fs").writeFileSync(join(host.home, "go"), "");
  assert.equal((await host.ended("a")).code, 5);
  await host.said("a", "back");
});
