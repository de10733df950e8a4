/** Measures the session supervisor beside a raw PTY and tmux, in one run: key echo, throughput, and the cost of idle sessions. Prints ratios. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type SupervisorClient, startSupervisor } from "../packages/supervisor/src/client.ts";

const require = createRequire(new URL("../packages/supervisor/src/main.ts", import.meta.url));
const { spawn } = require("@lydell/node-pty") as typeof import("@lydell/node-pty");

const KEYS = Number(process.env.KEYS ?? 500);
const MEGABYTES = Number(process.env.MEGABYTES ?? 100);
const ROUNDS = Number(process.env.ROUNDS ?? 3);
const IDLE_SESSIONS = Number(process.env.IDLE ?? 200);

const home = mkdtempSync(join(tmpdir(), "bench-"));
const env = { PATH: process.env.PATH as string, HOME: home, TERM: "xterm-256color", LANG: "C.UTF-8" };
const place = { cwd: home, cols: 120, rows: 40 };
const { client } = await startSupervisor({ home });
const start = (id: string, argv: string[], log = true) =>
  client.spawn({ id, argv, env, ...place, log: log ? join(home, "sessions", id) : null, offset: 0, logMaxBytes: 1024 ** 3 });

const quantile = (values: number[], q: number) =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))] as number;
const milliseconds = (values: number[]) => `p50 ${quantile(values, 0.5).toFixed(3)} ms, p99 ${quantile(values, 0.99).toFixed(3)} ms`;

/** Types one key after another, each when the last came back. */
async function keys(type: (key: string) => void, listen: (heard: (text: string) => void) => void): Promise<number[]> {
  const times: number[] = [];
  let wanted = "";
  let heard = Promise.withResolvers<void>();
  listen((text) => {
    if (wanted && text.includes(wanted)) heard.resolve();
  });
  for (let n = 0; n < KEYS + 50; n++) {
    heard = Promise.withResolvers<void>();
    wanted = String.fromCharCode(97 + (n % 26));
    const began = performance.now();
    type(wanted);
    await heard.promise;
    if (n >= 50) times.push(performance.now() - began);
    wanted = "";
    await pause(1);
  }
  return times;
}

async function echo(): Promise<void> {
  const cat = ["/bin/sh", "-c", "stty raw -echo; exec cat"];
  const raw = spawn(cat[0] as string, cat.slice(1), { ...place, env, encoding: null });
  await pause(300);
  const alone = await keys(
    (key) => raw.write(key),
    (heard) => raw.onData((data) => heard(data.toString())),
  );
  raw.kill("SIGKILL");

  await start("echo", cat);
  await pause(300);
  let hear: (text: string) => void = () => {};
  await client.watch("echo", { onSnapshot() {}, onOutput: (_, bytes) => hear(bytes.toString("latin1")), onExit() {} }, { since: 0 });
  const ours = await keys(
    (key) => void client.input("echo", Buffer.from(key)),
    (heard) => {
      hear = heard;
    },
  );

  const socket = join(home, "tmux");
  const tmux = spawn("tmux", ["-S", socket, "-f", "/dev/null", "new-session", "stty raw -echo; exec cat"], {
    ...place,
    env,
    encoding: null,
  });
  await pause(800);
  const theirs = await keys(
    (key) => tmux.write(key),
    (heard) => tmux.onData((data) => heard(data.toString())),
  );
  execFileSync("tmux", ["-S", socket, "kill-server"]);
  console.log(`key echo, raw PTY     ${milliseconds(alone)}`);
  console.log(`key echo, supervisor  ${milliseconds(ours)}`);
  console.log(`key echo, tmux attach ${milliseconds(theirs)}`);
  console.log(
    `  ratio supervisor / tmux: p50 ${(quantile(ours, 0.5) / quantile(theirs, 0.5)).toFixed(2)} (goal <= 1.5), p99 ${(quantile(ours, 0.99) / quantile(theirs, 0.99)).toFixed(2)} (goal <= 1)`,
  );
}

/** Rule SUPERVISOR-22: 50 sessions write 100 KB/s each, and somebody types into another. */
async function busy(): Promise<void> {
  const text = "\\e[32mok\\e[0m some line of a build log that is about this long, more or less\\r\\n";
  for (let n = 0; n < 50; n++)
    await start(`busy${n}`, ["/usr/bin/perl", "-e", `$|=1; while (1) { print "${text}" x 128; select(undef, undef, undef, 0.1) }`]);
  await start("typed", ["/bin/sh", "-c", "stty raw -echo; exec cat"]);
  await pause(1_000);
  let hear: (text: string) => void = () => {};
  await client.watch("typed", { onSnapshot() {}, onOutput: (_, bytes) => hear(bytes.toString("latin1")), onExit() {} }, { since: 0 });
  const times = await keys(
    (key) => void client.input("typed", Buffer.from(key)),
    (heard) => {
      hear = heard;
    },
  );
  console.log(`key echo beside 50 x 100 KB/s: ${milliseconds(times)} (goal p99 < 50)`);
  for (let n = 0; n < 50; n++) await client.signal(`busy${n}`, "SIGKILL");
}

async function throughput(): Promise<void> {
  const file = join(home, "flood");
  const line = `\x1b[32m2026-11-21\x1b[0m build step \x1b[1mdone\x1b[0m, nothing to see here but ordinary text of some length\n`;
  writeFileSync(file, line.repeat(Math.ceil((MEGABYTES * 1e6) / line.length)));
  const flood = ["/bin/sh", "-c", `stty -opost; exec cat ${file}`];
  const rates: Record<string, number[]> = { raw: [], unwatched: [], "1 viewer": [], "3 viewers": [] };
  let n = 0;
  const rate = (began: number) => (MEGABYTES * 1000) / (performance.now() - began);
  for (let round = 0; round < ROUNDS; round++) {
    const began = performance.now();
    const raw = spawn(flood[0] as string, flood.slice(1), { ...place, env, encoding: null });
    await new Promise<void>((resolve) => raw.onExit(() => resolve()));
    rates.raw?.push(rate(began));
    for (const viewers of [0, 1, 3]) {
      const id = `flood${++n}`;
      const clients: SupervisorClient[] = [];
      const ended = new Promise<void>((resolve) => client.onExit((which) => which === id && resolve()));
      const began = performance.now();
      await start(id, flood);
      let pictures = 0;
      for (let v = 0; v < viewers; v++) {
        const each = (await startSupervisor({ home })).client;
        clients.push(each);
        await each.watch(id, { onSnapshot: () => void pictures++, onOutput() {}, onExit() {} }, { since: 0 });
      }
      await ended;
      rates[viewers === 0 ? "unwatched" : viewers === 1 ? "1 viewer" : "3 viewers"]?.push(rate(began));
      if (pictures) console.log(`  (${viewers} viewers were given ${pictures} pictures)`);
      for (const each of clients) each.close();
      await client.collect(id);
    }
  }
  const best = (name: string) => Math.max(...(rates[name] ?? []));
  for (const name of Object.keys(rates))
    console.log(`throughput, ${name.padEnd(9)} ${best(name).toFixed(1)} MB/s, ratio to raw ${(best(name) / best("raw")).toFixed(2)}`);
}

async function idle(): Promise<void> {
  const status = () => readFileSync(`/proc/${client.hello.pid}/status`, "utf8");
  const resident = () => Number(/VmRSS:\s+(\d+)/.exec(status())?.[1]) / 1024;
  const ticks = () => {
    const fields = readFileSync(`/proc/${client.hello.pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
    return Number(fields[11]) + Number(fields[12]);
  };
  await pause(2_000);
  const before = resident();
  const began = performance.now();
  for (let n = 0; n < IDLE_SESSIONS; n++) await start(`idle${n}`, ["/bin/sh", "-c", "echo ready; exec sleep 100000"]);
  console.log(`${IDLE_SESSIONS} sessions started in ${(performance.now() - began).toFixed(0)} ms`);
  await pause(5_000);
  const first = ticks();
  const at = performance.now();
  await pause(10_000);
  const share = ((ticks() - first) * 10) / (performance.now() - at);
  console.log(
    `${IDLE_SESSIONS} idle sessions: ${(share * 100).toFixed(2)} % CPU (goal < 1), ${((resident() - before) / IDLE_SESSIONS).toFixed(3)} MB each (goal < 1), ${resident().toFixed(0)} MB in all`,
  );
}

try {
  const only = process.argv[2];
  if (!only || only === "echo") await echo();
  if (!only || only === "busy") await busy();
  if (!only || only === "throughput") await throughput();
  if (!only || only === "idle") await idle();
} finally {
  await client.shutdown().catch(() => {});
  await client.closed;
  rmSync(home, { recursive: true, force: true });
}
