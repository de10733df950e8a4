/** Settings in their layers, on a whole host. */
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import type { ArgusError } from "@argus/protocol";
import { sort } from "../src/features/config/file.ts";
import { KEYS } from "../src/features/config/keys.ts";
import { type Host, startHost } from "../src/host.ts";

const write = (host: Host, text: string) => fs.writeFileSync(path.join(host.home, "config.toml"), text);
const log = (host: Host) => fs.readFileSync(path.join(host.home, "daemon.log"), "utf8");

async function shown(host: Host, key: string): Promise<unknown[]> {
  const { settings } = await host.call<{ settings: { key: string; value: unknown; layer: string }[] }>("config.show");
  const found = settings.find((one) => one.key === key);
  return [found?.value, found?.layer];
}

async function health(host: Host, name: string): Promise<{ status: string; evidence: string } | undefined> {
  const { checks } = await host.call<{ checks: { name: string; status: string; evidence: string }[] }>("health");
  return checks.find((check) => check.name === name);
}

test("CONFIG-01, CONFIG-02, CONFIG-08: default, then menu, then file, each named with its layer; creating, editing and deleting the file counts at the next read", async () => {
  await using host = await startHost();
  assert.deepEqual(await shown(host, "approval.ttl_seconds"), [600, "default"]);
  await host.call("settings.set", { approval: { ttl_seconds: 60 } });
  assert.deepEqual(await shown(host, "approval.ttl_seconds"), [60, "menu"]);
  write(host, "[approval]\nttl_seconds = 6\n");
  assert.deepEqual(await shown(host, "approval.ttl_seconds"), [6, "file"]);
  await host.call("settings.set", { approval: { ttl_seconds: 66 } });
  assert.deepEqual(await shown(host, "approval.ttl_seconds"), [6, "file"], "the file wins over later changes in the menu");
  write(host, "[approval]\nttl_seconds = 7\n");
  assert.deepEqual(await shown(host, "approval.ttl_seconds"), [7, "file"]);
  fs.rmSync(path.join(host.home, "config.toml"));
  assert.deepEqual(await shown(host, "approval.ttl_seconds"), [66, "menu"]);
  await host.restart();
  assert.deepEqual(await shown(host, "approval.ttl_seconds"), [66, "menu"], "the menu's layer is stored");
});

test("CONFIG-03: unknown keys change nothing and are listed with the nearest known one", async () => {
  await using host = await startHost();
  write(host, '[defualts]\nbackend = "codex"\n[api]\nhttp_prot = 1\n');
  assert.deepEqual(await shown(host, "defaults.backend"), ["claude", "default"]);
  const check = await health(host, "config.toml");
  assert.equal(check?.status, "warn");
  assert.match(check?.evidence ?? "", /defualts\.backend is unknown; did you mean defaults\.backend\?/);
  assert.match(check?.evidence ?? "", /api\.http_prot is unknown; did you mean api\.http_port\?/);
});

test("CONFIG-04: a file that does not parse is ignored whole, logged with line and column, and counts again when it parses", async () => {
  await using host = await startHost();
  await host.call("settings.set", { approval: { ttl_seconds: 60 } });
  write(host, '[approval]\nttl_seconds = 6\n[ui]\nshow_icons = "yes\n');
  assert.deepEqual(await shown(host, "approval.ttl_seconds"), [60, "menu"]);
  assert.match(log(host), /config\.toml is ignored until it parses again\. line 4, column \d+/);
  const check = await health(host, "config.toml");
  assert.equal(check?.status, "fail");
  assert.match(check?.evidence ?? "", /line 4, column \d+/);
  write(host, "[approval]\nttl_seconds = 6\n");
  assert.deepEqual(await shown(host, "approval.ttl_seconds"), [6, "file"]);
});

test("CONFIG-05, CONFIG-10, CONFIG-11: maps merge by name, and an entry of the file replaces the stored one whole", async () => {
  await using host = await startHost();
  write(
    host,
    `[backends.claude]\nmodel = "opus"\n[backends.mine]\ncommand = "mine --go"\nprompt_flag = "--ask"\n[projects.demo]\nbranch = "trunk"\n[projects.second]\npath = ${JSON.stringify(host.repo)}\nbackend = "mine"\n`,
  );
  const { backends } = await host.call<{ backends: Record<string, unknown>[] }>("backend.list");
  const pick = (name: string) => {
    const { command, prompt_flag, model } = backends.find((one) => one.name === name) ?? {};
    return { command, prompt_flag, model };
  };
  assert.deepEqual(pick("claude"), { command: "", prompt_flag: "", model: "opus" }, "omitted fields are empty");
  assert.deepEqual(pick("mine"), { command: "mine --go", prompt_flag: "--ask", model: "" });
  assert.deepEqual(pick("pi"), { command: "pi", prompt_flag: "", model: "" }, "stored entries stay beside them");
  assert.ok(backends.some((one) => one.name === "codex"));
  const demo = await host.system.services.projects.find("demo");
  assert.deepEqual([demo.path, demo.branch], ["", "trunk"]);
  const second = await host.system.services.projects.find("second");
  assert.deepEqual([second.path, second.branch, second.default_backend], [host.repo, "", "mine"]);
  const check = await health(host, "project demo");
  assert.equal(check?.status, "warn");
  assert.match(check?.evidence ?? "", /no path.*replaces the stored one whole/);
});

test("CONFIG-07: ports outside 1 to 65535 and values of a wrong type are ignored with one line in the log each", async () => {
  await using host = await startHost();
  await host.call("settings.set", { api: { http_port: 8123 } });
  for (const port of ['"abc"', "0", "70000", "80.5", "true"]) {
    write(host, `[api]\nhttp_port = ${port}\n[ui]\nspinner_style = "round"\n`);
    assert.deepEqual(await shown(host, "api.http_port"), [8123, "menu"], port);
    assert.deepEqual(await shown(host, "ui.spinner_style"), ["progress", "default"], port);
  }
  const lines = log(host)
    .split("\n")
    .filter((line) => line.includes("config.toml: "));
  assert.equal(lines.length, 10, lines.join("\n"));
  assert.match(lines[0] ?? "", /api\.http_port must be a port, found \\"abc\\"; the lower layer holds/);
});

test("CONFIG-09: the backend must exist, the permission mode be one of five", async () => {
  await using host = await startHost();
  assert.deepEqual(await shown(host, "defaults.backend"), ["claude", "default"]);
  assert.deepEqual(await shown(host, "defaults.share_project"), ["", "default"]);
  assert.deepEqual(await shown(host, "defaults.permission_mode"), ["bypass-active", "default"]);
  for (const wrong of [{ backend: "nobody" }, { permission_mode: "yolo" }, { backend: 5 }])
    await assert.rejects(host.call("settings.set", { defaults: wrong }), (error: ArgusError) => error.code === "INVALID_INPUT");
  await host.call("settings.set", { defaults: { backend: "fixture-idle" } });
  await host.system.services.projects.create("other", {
    path: host.repo,
    branch: "",
    backend: "",
    sandbox: { enabled: null, deny_read: [], extra_write: [] },
  });
  const task = await host.call<{ id: string }>("task.create", { project: "other", prompt: "wait" });
  await host.until(task.id, (one) => one.status === "in_progress", "the default backend to run");
});

test("CONFIG-14, CONFIG-15, CONFIG-17, CONFIG-18, CONFIG-20, CONFIG-22, CONFIG-23: the keys have the types and defaults of the document, and ours beside them", () => {
  const defaults = Object.fromEntries(Object.entries(KEYS).map(([name, key]) => [name, key.default]));
  const expected: Record<string, unknown> = {
    "ui.spinner_style": "progress",
    "ui.default_agent_zoom": true,
    "ui.theme": "default",
    "ui.show_elapsed": true,
    "ui.show_icons": true,
    "ui.cleanup_worktrees": true,
    "keybindings.new": "n",
    "keybindings.attach": "enter",
    "keybindings.status": "s",
    "keybindings.delete": "d",
    "keybindings.quit": "q",
    "keybindings.help": "?",
    "keybindings.filter": "/",
    "keybindings.prompt": "p",
    "keybindings.worktree": "w",
    "sandbox.enabled": false,
    "sandbox.deny_read": [],
    "sandbox.extra_write": [],
    "sandbox.allow_apple_events": [],
    "kb.enabled": false,
    "kb.http_port": 7742,
    "kb.metis_vault_path": path.join(os.homedir(), "Library/Mobile Documents/iCloud~md~obsidian/Documents/Metis"),
    "hera.enabled": true,
    "api.allowed_hosts": [],
    "hera.max_workers": 10,
    "mcp.require_token": false,
    "supervisor.resume_interrupted": true,
    "session.log_max_mb": 1024,
    "worktree.disk_warn_gb": 20,
    "push.content": "full",
    "approval.ttl_seconds": 600,
    "argus.source_path": "",
  };
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((name) => [name, defaults[name]])), expected);
  assert.deepEqual(KEYS["ui.spinner_style"]?.of, ["progress", "dots", "braille", "classic"]);
});

test("CONFIG-19: REST is off by default, and appears and goes while the daemon runs as the setting changes", async () => {
  await using host = await startHost({ env: { ARGUS_API_PORT: "" } });
  assert.deepEqual(await shown(host, "api.http_port"), [7743, "default"]);
  const rest = () => host.system.listeners.addresses().rest;
  assert.deepEqual(rest(), []);
  // A port of the system's choosing, so that a real Argus on this machine is not met.
  const port = 20_000 + (process.pid % 20_000);
  write(host, `[api]\nenabled = true\nhttp_port = ${port}\n`);
  const [address = ""] = await host.eventually(() => rest().length > 0 && rest(), "the listener to appear");
  assert.equal((await fetch(`${address}/api/status`, { headers: { authorization: `Bearer ${host.token}` } })).status, 200);
  write(host, "[api]\nenabled = false\n");
  await host.eventually(() => rest().length === 0, "the listener to go");
  await assert.rejects(fetch(`${address}/api/status`));
});

test("CONFIG-25: the document's sample file loads with exactly the values it shows", () => {
  const sample = {
    defaults: { backend: "claude", permission_mode: "bypass-active" },
    ui: { spinner_style: "braille", default_agent_zoom: true },
    backends: { claude: { command: "claude", prompt_flag: "" } },
    projects: { argus: { path: "/Users/me/code/argus", branch: "master", sandbox: { enabled: true, denyread: ["~/.ssh"] } } },
    sandbox: { enabled: false, deny_read: ["~/.gnupg", "~/.aws"] },
    api: { enabled: true, http_port: 7743 },
  };
  assert.deepEqual(sort(sample), {
    values: {
      "defaults.backend": "claude",
      "defaults.permission_mode": "bypass-active",
      "ui.spinner_style": "braille",
      "ui.default_agent_zoom": true,
      "sandbox.enabled": false,
      "sandbox.deny_read": ["~/.gnupg", "~/.aws"],
      "api.enabled": true,
      "api.http_port": 7743,
    },
    backends: sample.backends,
    projects: sample.projects,
    harnesses: {},
    unknown: [],
    wrong: [],
    broken: null,
  });
});

test("CONFIG-25: read from the file, the sample's project and its fence are what it says", async () => {
  await using host = await startHost();
  write(
    host,
    '[projects.argus]\npath = "/Users/me/code/argus"\nbranch = "master"\n[projects.argus.sandbox]\nenabled = true\ndenyread = ["~/.ssh"]\n',
  );
  assert.deepEqual(await host.system.services.projects.find("argus"), {
    name: "argus",
    path: "/Users/me/code/argus",
    branch: "master",
    default_backend: "",
    sandbox: { enabled: true, deny_read: ["~/.ssh"], extra_write: [] },
  });
});
