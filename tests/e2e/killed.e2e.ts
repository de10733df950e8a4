/** The main job over REST with real agents while the daemon is killed in the middle of a turn: the agent never notices, and every byte is accounted for by offset and hash. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import fs from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import type { Task } from "@argus/protocol";
import { connectSupervisor } from "@argus/supervisor/client";
import { startModelServer } from "../../fixtures/model-server/server.ts";
import { endSupervisor, isAlive } from "../../packages/daemon/src/host.ts";
import { prepare } from "./harness.ts";
import { CLIS } from "./install.ts";
import { allGone } from "./terminal.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const LIMIT_MS = 60_000;
const SCRIPTS = {
  // The second step is asked for while no daemon runs.
  long: [{ tool: { kind: "shell", command: "echo one > work.txt; sleep 3; echo two >> work.txt" } }, { text: "LONG-DONE" }],
} as const;

async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function until<T>(what: string, look: () => Promise<T | false> | T | false): Promise<T> {
  const deadline = Date.now() + LIMIT_MS;
  for (;;) {
    const found = await look();
    if (found !== false) return found;
    if (Date.now() > deadline) assert.fail(`waited ${LIMIT_MS / 1000} s for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 30)); // between two looks
  }
}

/** A viewer over REST that reconnects with the last id it saw, as a browser does. */
class Viewer {
  /** Offset of the snapshot it began with. */
  base = -1;
  next = -1;
  readonly parts: Buffer[] = [];
  snapshots = 0;
  #stopped = new AbortController();
  readonly done: Promise<void>;

  constructor(url: string, token: string) {
    this.done = this.#follow(url, token);
  }

  async #follow(url: string, token: string): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      try {
        const response = await fetch(this.next < 0 ? url : `${url}?since=${this.next}`, {
          headers: { authorization: `Bearer ${token}` },
          signal: this.#stopped.signal,
        });
        if (response.ok && response.body) await this.#read(response.body);
      } catch {}
      if (!this.#stopped.signal.aborted) await new Promise((resolve) => setTimeout(resolve, 50)); // the daemon is being replaced
    }
  }

  async #read(body: ReadableStream<Uint8Array>): Promise<void> {
    let text = "";
    for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
      text += Buffer.from(chunk).toString("utf8");
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        this.#event(text.slice(0, end));
        text = text.slice(end + 2);
      }
    }
  }

  #event(block: string): void {
    const field = (name: string) =>
      block
        .split("\n")
        .find((line) => line.startsWith(`${name}: `))
        ?.slice(name.length + 2);
    const [id, data] = [field("id"), field("data")];
    if (id === undefined || data === undefined || field("event")) return;
    const bytes = Buffer.from(data, "base64");
    if (bytes.subarray(0, 2).toString("latin1") === "\x1bc" && Number(id) - bytes.length !== this.next) {
      this.snapshots++;
      assert.equal(this.snapshots, 1, "bytes that are held are never replaced by a snapshot");
      this.base = Number(id);
    } else {
      assert.equal(Number(id) - bytes.length, this.next, "each event begins where the last one ended");
      this.parts.push(bytes);
    }
    this.next = Number(id);
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.done;
  }
}

for (const cli of CLIS)
  test(`SUPERVISOR-04, TASK-01: ${cli} works on while the daemon is killed with -9 in the middle of its turn, no byte is lost, and its conversation resumes after a stop`, async () => {
    const root = fs.realpathSync(fs.mkdtempSync(path.join(tmpdir(), "argus-killed-")));
    const [home, user, repo] = ["argus", "user", "repo"].map((name) => path.join(root, name)) as [string, string, string];
    for (const folder of [home, user, repo]) fs.mkdirSync(folder);
    const git = (...args: string[]) =>
      execFileSync("git", ["-c", "user.name=Test", "-c", "user.email=test@localhost", ...args], { cwd: repo, stdio: "pipe" });
    fs.writeFileSync(path.join(repo, "README.md"), "# Sample\n");
    git("init", "-q", "-b", "main");
    git("add", "-A");
    git("commit", "-qm", "Start");
    const mark = `E2E_MARK=${path.basename(root)}`;
    await using server = await startModelServer({ scripts: SCRIPTS as never });
    const { command, env: own } = await prepare(cli, { home: user, cwd: repo, modelUrl: server.url });
    const port = await freePort();
    const env = {
      ...own,
      E2E_MARK: path.basename(root),
      ARGUS_HOME: home,
      ARGUS_API_PORT: String(port),
      ARGUS_MCP_PORT: String(await freePort()),
    };
    const argus = (...args: string[]) =>
      execFileSync(path.join(ROOT, "argus"), args, { env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
    try {
      argus("daemon", "start");
      const token = fs.readFileSync(path.join(home, "api-token"), "utf8").trim();
      const rest = async <T>(method: string, at: string, body?: unknown): Promise<T> => {
        const response = await fetch(`http://127.0.0.1:${port}${at}`, {
          method,
          headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
          ...(body !== undefined && { body: JSON.stringify(body) }),
        });
        const value = (await response.json()) as T;
        assert.ok(response.ok, `${method} ${at}: ${response.status} ${JSON.stringify(value)}`);
        return value;
      };
      await rest("POST", "/api/backends", { name: "real", command });
      await rest("POST", "/api/projects", { name: "sample", path: repo });
      const { id } = await rest<{ id: string }>("POST", "/api/tasks", {
        project: "sample",
        name: "Killed",
        prompt: "please SCRIPT:long",
        backend: "real",
      });
      const viewer = new Viewer(`http://127.0.0.1:${port}/api/tasks/${id}/stream`, token);
      const task = await rest<Task>("GET", `/api/tasks/${id}`);
      const work = path.join(task.worktree_path, "work.txt");
      const pidOf = async () => {
        const client = await connectSupervisor(path.join(home, "supervisor.sock"));
        const [session] = await client.list();
        client.close();
        return session?.pid ?? -1;
      };
      await until("the agent to be in the middle of its turn", () => fs.existsSync(work));
      const pid = await pidOf();
      const daemon = Number(fs.readFileSync(path.join(home, "daemon.pid"), "utf8"));
      process.kill(daemon, "SIGKILL");
      await until("the daemon to be gone", () => !isAlive(daemon));
      await until("the agent to finish its command without a daemon", () => fs.readFileSync(work, "utf8") === "one\ntwo\n");
      argus("daemon", "start");
      const screen = async () => (await rest<{ rows: string[] }>("GET", `/api/tasks/${id}/screen`)).rows.join("\n");
      await until("the end of the turn on the screen", async () => (await screen()).includes("LONG-DONE"));
      assert.equal(await pidOf(), pid, "the same process");
      const idle = await until("the agent to be idle", async () => {
        const now = await rest<Task>("GET", `/api/tasks/${id}`);
        return now.idle && now;
      });
      assert.equal(idle.status, "in_progress");
      const { branch_files } = await rest<{ branch_files: string }>("GET", `/api/tasks/${id}/git/status`);
      assert.match(branch_files, /work\.txt/);
      assert.match((await rest<{ diff: string }>("GET", `/api/tasks/${id}/git/diff?path=work.txt`)).diff, /\+one\n\+two/);

      await rest("POST", `/api/tasks/${id}/stop`);
      await viewer.stop();
      const log = fs.readFileSync(path.join(home, "sessions", `${id}.log`));
      const seen = Buffer.concat(viewer.parts);
      assert.equal(viewer.base + seen.length, viewer.next);
      const hash = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
      assert.equal(hash(seen), hash(log.subarray(viewer.base, viewer.next)), "what the viewer saw is what the log holds, byte for byte");

      const stopped = await until("the conversation's id", async () => {
        const now = await rest<Task>("GET", `/api/tasks/${id}`);
        return now.session_id !== undefined && now.status === "in_review" && now;
      });
      await rest("POST", `/api/tasks/${id}/resume`);
      await until("the earlier turn on the screen", async () => (await screen().catch(() => "")).includes("LONG-DONE"));
      assert.equal((await rest<Task>("GET", `/api/tasks/${id}`)).session_id, stopped.session_id);
      await rest("DELETE", `/api/tasks/${id}`);
      assert.ok(!fs.existsSync(task.worktree_path));
    } finally {
      execFileSync(path.join(ROOT, "argus"), ["daemon", "stop"], { env, stdio: "ignore" });
      await endSupervisor(home);
      fs.rmSync(root, { recursive: true, force: true, maxRetries: 5 });
    }
    await allGone(mark);
  });
