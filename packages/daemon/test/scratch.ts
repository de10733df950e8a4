/** Small programs, repositories and pictures of what a host holds, for tests of tasks. */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import type { Task } from "@argus/protocol";
import type { Host } from "../src/host.ts";

export type Made = { id: string; name: string; status: string; branch: string; notice?: string };

/** A program of a few lines in `<home>/bin`. */
export function program(host: { home: string }, name: string, text: string): string {
  const file = path.join(host.home, "bin", name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, text, { mode: 0o755 });
  return file;
}

/** Such a program as a backend of the same name. */
export async function agent(
  host: Host,
  name: string,
  text: string,
  more: { args?: string; model?: string; backend?: string } = {},
): Promise<string> {
  const command = `${program(host, name, text)}${more.args ? ` ${more.args}` : ""}`;
  const backend = more.backend ?? `test-${name}`;
  await host.call("backend.create", { name: backend, command, ...(more.model && { model: more.model }) });
  return backend;
}

/** Ends with what its prompt says: an exit status or a signal. */
export const ENDS = `#!/bin/sh\n[ "$1" = -- ] && shift\ncase $1 in [0-9]*) exit "$1" ;; SIG*) kill -s "\${1#SIG}" $$ ;; esac\nexec sleep 1000000\n`;

/** A harness like Claude Code: records its arguments in its worktree's transcript folder and waits. */
export const CLAUDE = `#!/usr/bin/env node
const fs = require("node:fs"), path = require("node:path");
const args = process.argv.slice(2);
const id = args[args.findIndex((arg) => arg === "--session-id" || arg === "--resume") + 1];
const folder = path.join(process.env.HOME, ".claude", "projects", process.cwd().replace(/[^a-zA-Z0-9]/g, "-"));
fs.mkdirSync(folder, { recursive: true });
const write = (name, text) => fs.appendFileSync(path.join(folder, name + ".jsonl"), JSON.stringify({ type: "user", sessionId: name, cwd: process.cwd(), message: { role: "user", content: text } }) + "\\n");
write(id, "hello from " + id);
console.log("args " + JSON.stringify(args));
process.stdin.on("data", (bytes) => {
  const [word, value] = bytes.toString().trim().split(" ");
  if (word === "clear") write(value, "cleared"), console.log("cleared");
  if (word === "exit") process.exit(Number(value));
});
`;

export function git(folder: string, ...args: string[]): string {
  return execFileSync("git", ["-c", "user.name=Test", "-c", "user.email=test@localhost", ...args], {
    cwd: folder,
    stdio: "pipe",
    encoding: "utf8",
  }).trim();
}

/** Writes files (by relative path) and commits them. */
export function commit(folder: string, files: Record<string, string>, message = "Change"): string {
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    fs.writeFileSync(path.join(folder, name), text);
  }
  git(folder, "add", "-f", ...Object.keys(files));
  git(folder, "commit", "-q", "-m", message);
  return git(folder, "rev-parse", "HEAD");
}

export async function create(host: Host, more: Record<string, unknown> = {}): Promise<Task & { notice?: string }> {
  const { id, notice } = await host.call<Made>("task.create", { project: "demo", prompt: "wait", ...more });
  return { ...(await host.call<Task>("task.get", { id })), ...(notice && { notice }) };
}

export const look = (host: Host, id: string): Promise<Task> => host.call<Task>("task.get", { id });

/** What an agent printed so far. */
export async function printed(host: Host, id: string): Promise<string> {
  const { node, launcher } = host.system.services;
  return (await node.sessions.readLog(launcher.logOf(Number(id)), 0, 1_000_000)).bytes.toString();
}

/** The JSON behind a word the agent prints at the beginning of a line. */
export async function said<T>(host: Host, id: string, word: string): Promise<T> {
  return host.eventually(async () => {
    const line = (await printed(host, id)).split("\r\n").findLast((text, at, all) => text.startsWith(`${word} `) && at < all.length - 1);
    return line === undefined ? null : ((JSON.parse(line.slice(word.length + 1)) as T) ?? null);
  }, `the agent to say ${word}`);
}

/** Everything a creation can leave behind. */
export async function traces(host: Host): Promise<Record<string, unknown>> {
  const { store, node, tasks } = host.system.services;
  const root = path.join(host.home, "worktrees");
  const folders = fs.readdirSync(root, { withFileTypes: true, recursive: true });
  return {
    worktrees: git(host.repo, "worktree", "list").split("\n").length,
    branches: git(host.repo, "for-each-ref", "--format=%(refname)").split("\n"),
    folders: folders
      .filter((entry) => entry.isDirectory() && entry.parentPath.split(path.sep).length <= root.split(path.sep).length + 1)
      .map((entry) => entry.name),
    tasks: (await tasks.list({ archived: "all" })).length,
    runs: (await store.db.selectFrom("runs").selectAll().execute()).length,
    sessions: (await node.sessions.list()).length,
    logs: fs.readdirSync(path.join(host.home, "sessions")),
    secrets: fs.readdirSync(path.join(host.home, "run")),
  };
}
