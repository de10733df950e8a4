/** The skills a prompt can name, and the two that Argus ships. */
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { startHost } from "../src/host.ts";
import { agent, create, look, said } from "./scratch.ts";

const SHIPPED = fileURLToPath(new URL("../../../.claude/skills", import.meta.url));

function skill(folder: string, name: string, description: string): void {
  fs.mkdirSync(path.join(folder, name), { recursive: true });
  fs.writeFileSync(path.join(folder, name, "SKILL.md"), `---\nname: ${name}\ndescription: ${description}\n---\n\nText.\n`);
}

test("REST-68: skills come from the project, the home folder and installed plugins; the project's wins, and a filter ignores case", async () => {
  await using host = await startHost({ rest: true });
  const home = path.join(host.home, "user", ".claude");
  const plugin = path.join(home, "plugins", "cache", "market", "tools", "1.0.0");
  skill(path.join(host.repo, ".claude", "skills"), "deploy", "the project's");
  skill(path.join(home, "skills"), "deploy", "the person's");
  skill(path.join(home, "skills"), "Review", "looks at changes");
  skill(path.join(plugin, "skills"), "lint", "from a plugin");
  skill(path.join(home, "plugins", "cache", "market", "removed", "1.0.0", "skills"), "ghost", "not installed");
  fs.writeFileSync(
    path.join(home, "plugins", "installed_plugins.json"),
    JSON.stringify({ version: 2, plugins: { "tools@market": [{ scope: "user", installPath: plugin }] } }),
  );
  const get = async (query: string) => ((await (await host.rest("GET", `/api/skills${query}`)).json()) as { skills: unknown }).skills;
  const [review, lint] = [
    { name: "Review", description: "looks at changes" },
    { name: "lint", description: "from a plugin" },
  ];
  assert.deepEqual(await get("?project=demo"), [review, { name: "deploy", description: "the project's" }, lint]);
  assert.deepEqual(await get(""), [review, { name: "deploy", description: "the person's" }, lint]);
  assert.deepEqual(await get("?filter=REV"), [review]);
  assert.equal((await host.rest("GET", "/api/skills?project=nope")).status, 404);
});

/** Reads the skill named by its prompt and does what it says: calls the tool with the first JSON example. */
const FOLLOWER = `#!/usr/bin/env node
const fs = require("node:fs");
const { execFileSync } = require("node:child_process");
const text = fs.readFileSync(process.argv.at(-1), "utf8");
const tool = /Call the tool \`(\\w+)\`/.exec(text)[1];
const input = JSON.parse(/\`\`\`json\\n([^]*?)\`\`\`/.exec(text)[1].replace(/<output of (.*?)>/g, (_, line) => execFileSync("sh", ["-c", line]).toString().trim()));
fetch(process.env.ARGUS_MCP_URL, {
  method: "POST",
  headers: { authorization: "Bearer " + process.env.ARGUS_MCP_TOKEN, "content-type": "application/json", accept: "application/json, text/event-stream" },
  body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: tool, arguments: input } }),
}).then(async (reply) => console.log("done " + JSON.stringify([tool, reply.status])));
process.stdin.resume();
`;

test("MCP-36: an agent that follows a shipped skill finalises its own task on that axis alone", async () => {
  await using host = await startHost();
  const backend = await agent(host, "follower", FOLLOWER);
  const after = async (name: string) => {
    const task = await create(host, { name, backend, prompt: path.join(SHIPPED, name, "SKILL.md") });
    const done = await said(host, task.id, "done");
    const { status, archived, completion } = await look(host, task.id);
    return { done, status, archived, completion };
  };
  assert.deepEqual(await after("archive"), { done: ["task_archive", 200], status: "in_progress", archived: true, completion: undefined });
  assert.deepEqual(await after("argus-complete"), {
    done: ["task_complete", 200],
    status: "complete",
    archived: false,
    completion: "verified",
  });
});
