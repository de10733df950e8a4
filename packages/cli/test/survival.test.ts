/** What survives a daemon that is killed: agents, every byte for every viewer, every acknowledged change, the token file. */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import fs from "node:fs";
import { test } from "node:test";
import { SocketClient } from "@argus/client/socket";
import { connectSupervisor, readLog } from "@argus/supervisor/client";
import { isAlive } from "../../daemon/src/host.ts";
import { eventually, freePort, Scratch } from "./scratch.ts";

const KILLS = 20;

/** Starts daemons one after another; kills the present one with -9 at a random moment of its life, sometimes before it answers. */
async function killRepeatedly(scratch: Scratch, times: number): Promise<void> {
  for (let n = 0; n < times; n++) {
    const { child, exited } = scratch.daemon();
    if (n % 2 === 0) await scratch.answering(child.pid);
    await new Promise((resolve) => setTimeout(resolve, randomInt(400)));
    child.kill("SIGKILL");
    assert.equal((await exited).signal, "SIGKILL");
  }
}

/** Joins what a viewer got into one text that knows its place in the stream: what comes twice or is left out shows. */
class Seen {
  next: number | undefined;
  text = "";
  gaps: string[] = [];
  snapshot(offset: number): void {
    if (this.next !== undefined && offset !== this.next) this.gaps.push(`snapshot at ${offset} after ${this.next}`);
    this.next = offset;
  }
  bytes(offset: number, part: Buffer): void {
    if (offset !== this.next) this.gaps.push(`bytes at ${offset} after ${this.next}`);
    this.text += part.toString("latin1");
    this.next = offset + part.length;
  }
}

test("SUPERVISOR-04: 20 kills of the daemon lose and double no byte of a viewer at the supervisor nor of one over REST, and the agent keeps its pid", async () => {
  const port = await freePort();
  await using scratch = new Scratch({ ARGUS_API_PORT: String(port) });
  const repo = scratch.repository();
  await scratch.ok("backend", "create", "numbered", "numbered 100 1000000");
  await scratch.ok("project", "create", "demo", repo, "--backend", "numbered");
  const { id } = await scratch.json<{ id: string }>("task", "create", "demo", "count");
  const log = scratch.at("sessions", `${id}.log`);
  const supervisor = await connectSupervisor(scratch.at("supervisor.sock"));
  const [session] = await supervisor.list();
  assert.ok(session);
  const near = new Seen();
  await supervisor.watch(session.id, {
    onSnapshot: ({ offset }) => near.snapshot(offset),
    onOutput: (offset, bytes) => near.bytes(offset, bytes),
    onExit: () => near.gaps.push("exit"),
  });

  const far = new Seen();
  const ending = new AbortController();
  const token = fs.readFileSync(scratch.at("api-token"), "utf8").trim();
  let connections = 0;
  using _ = { [Symbol.dispose]: () => ending.abort() };
  const watching = (async () => {
    while (!ending.signal.aborted)
      try {
        const since = far.next === undefined ? "" : `?since=${far.next}`;
        const response = await fetch(`http://127.0.0.1:${port}/api/tasks/${id}/stream${since}`, {
          headers: { authorization: `Bearer ${token}` },
          signal: ending.signal,
        });
        if (response.status !== 200 || !response.body) throw new Error(String(response.status));
        connections++;
        for await (const event of serverSent(response.body)) {
          if (event.id === undefined || event.name === "clipboard") continue;
          const part = Buffer.from(event.data, "base64");
          const end = Number(event.id);
          // The first event of a first connection is a snapshot: a picture of what was before, not bytes of the stream.
          if (far.next === undefined) far.snapshot(end);
          else far.bytes(end - part.length, part);
        }
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 20)); // the daemon is away; it is asked again until the test ends
      }
  })();
  await eventually(() => far.text !== "", "the first bytes over REST");

  process.kill(scratch.pid() as number, "SIGKILL");
  await killRepeatedly(scratch, KILLS - 1);
  const last = scratch.daemon();
  await scratch.answering(last.child.pid);
  const reached = connections;
  await eventually(() => connections > 1 && near.text.length > 2000, "both viewers to go on");
  const mark = near.next as number;
  await eventually(() => (far.next ?? 0) >= mark, "the viewer over REST to catch up");
  ending.abort();
  await watching;
  assert.ok(reached > 1 || connections > 1, "the REST viewer had to connect again");

  assert.deepEqual([near.gaps, far.gaps], [[], []]);
  // The file follows the terminal in steps of its own.
  const [seenTo, seenBy] = [Math.max(near.next as number, far.next as number), [{ ...near }, { ...far }]];
  const { bytes } = await eventually(async () => {
    const part = await readLog(log, 0, 16 * 1024 * 1024);
    return part.total >= seenTo && part;
  }, "the log on disk");
  const whole = bytes.toString("latin1");
  const numbers = [...whole.matchAll(/line (\d+)\r\n/g)].map((found) => Number(found[1]));
  assert.deepEqual(
    numbers,
    numbers.map((_, at) => at + 1),
    "the log counts from 1 without a gap",
  );
  for (const seen of seenBy) {
    const end = seen.next as number;
    assert.equal(whole.slice(end - seen.text.length, end), seen.text, "what the viewer saw is the log, byte for byte");
  }
  const [now] = await supervisor.list();
  assert.deepEqual([now?.pid, now?.exit ?? null], [session.pid, null]);
  assert.ok(isAlive(session.pid));
  supervisor.close();
  last.child.kill("SIGKILL");
  await last.exited;
});

test("LIFECYCLE-22: what was acknowledged before a kill -9 is there afterwards, and nothing is half", async () => {
  await using scratch = new Scratch();
  const acknowledged: string[] = [];
  for (let round = 0; round < 5; round++) {
    const { child, exited } = scratch.daemon();
    await scratch.answering(child.pid);
    using client = await SocketClient.connect(scratch.at("daemon.sock"));
    let n = 0;
    const writers = Array.from({ length: 4 }, async () => {
      for (;;) {
        const label = `r${round}-${n++}`;
        await client.call("token.mint", { label });
        acknowledged.push(label);
      }
    });
    const [goal, wait] = [acknowledged.length + 20 + randomInt(100), writers.map((writer) => writer.catch(() => {}))];
    await eventually(() => acknowledged.length >= goal, "enough writes");
    child.kill("SIGKILL");
    await Promise.all([exited, ...wait]);
  }
  const { tokens } = await scratch.json<{ tokens: { label: string; last4: string }[] }>("token", "list");
  const stored = new Set(tokens.map((one) => one.label));
  assert.deepEqual(
    acknowledged.filter((label) => !stored.has(label)),
    [],
  );
  assert.deepEqual(
    tokens.filter((one) => one.last4.length !== 4),
    [],
  );
  assert.equal((await scratch.json<{ intact: boolean }>("audit", "verify")).intact, true);
});

test("TOKEN-01: killed at any moment of its first start, a daemon leaves the token file whole or absent", async () => {
  await using scratch = new Scratch();
  const file = scratch.at("api-token");
  let [whole, absent] = [0, 0];
  for (let n = 0; n < 20; n++) {
    for (const name of ["api-token", "data.sql", "data.sql-wal", "data.sql-shm"]) fs.rmSync(scratch.at(name), { force: true });
    const { child, exited } = scratch.daemon();
    // Half of them right when the folder changes, half at a random moment.
    if (n % 2 === 0 && fs.existsSync(scratch.argus)) await changed(scratch.argus);
    else await new Promise((resolve) => setTimeout(resolve, 150 + randomInt(600)));
    child.kill("SIGKILL");
    await exited;
    if (fs.existsSync(file)) {
      whole++;
      assert.match(fs.readFileSync(file, "utf8"), /^[0-9a-f]{64}\n$/);
      assert.equal(fs.statSync(file).mode & 0o777, 0o600);
    } else absent++;
  }
  assert.ok(absent > 0 && whole + absent === 20);
});

/** Resolves when a draft of the token or the token itself appears. */
function changed(folder: string): Promise<void> {
  return new Promise((resolve) => {
    const watcher = fs.watch(folder, (_event, name) => {
      if (!name?.startsWith("api-token")) return;
      watcher.close();
      resolve();
    });
  });
}

async function* serverSent(body: ReadableStream<Uint8Array>): AsyncGenerator<{ id?: string; name?: string; data: string }> {
  let rest = "";
  for await (const chunk of body.pipeThrough(new TextDecoderStream("latin1") as never) as unknown as AsyncIterable<string>) {
    const blocks = (rest + chunk).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const fields = new Map(block.split("\n").map((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)]));
      const [id, name] = [fields.get("id"), fields.get("event")];
      yield { ...(id !== undefined && { id }), ...(name !== undefined && { name }), data: fields.get("data") ?? "" };
    }
  }
}
