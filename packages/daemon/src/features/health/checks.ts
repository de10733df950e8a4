/** The checks every call can afford: each says what it found, and when that is not good, what to do. */
import fs from "node:fs";
import path from "node:path";
import { PROTOCOL } from "@argus/supervisor/client";
import { sql } from "kysely";
import { z } from "zod";
import type { Services } from "../../kernel/operation.ts";
import { nearestKey } from "../config/index.ts";

export const Check = z.object({ name: z.string(), status: z.enum(["pass", "warn", "fail"]), evidence: z.string() });
export type Check = z.infer<typeof Check>;
export type Look = (services: Services) => Check[] | Promise<Check[]>;

export const pass = (name: string, evidence: string): Check => ({ name, status: "pass", evidence });
export const warn = (name: string, evidence: string): Check => ({ name, status: "warn", evidence });
export const fail = (name: string, evidence: string): Check => ({ name, status: "fail", evidence });

const supervisor: Look = ({ node, sessions }) => {
  const hello = node.sessions.hello();
  if (node.sessions.state !== "connected" || !hello)
    return [
      fail("supervisor", "It does not answer. Running agents are unverifiable until it does; `argus session-supervisor start` starts one."),
    ];
  return [supervisorVersion(hello, sessions.counts().running)];
};

/** SUPERVISOR-17: an older one is worked with, named here, and never restarted by itself. */
export function supervisorVersion(hello: { pid: number; protocol: number; build: string }, running: number): Check {
  const evidence = `pid ${hello.pid}, protocol ${hello.protocol}, build ${hello.build}, ${running} session${running === 1 ? "" : "s"}`;
  if (hello.protocol >= PROTOCOL) return pass("supervisor", evidence);
  return warn(
    "supervisor",
    `${evidence}. It speaks an older protocol than ${PROTOCOL}; \`argus session-supervisor upgrade\` takes the installed program, agents go on.`,
  );
}

const database: Look = async ({ store, audit }) => {
  const refused = await sql`select 1`.execute(store.db).then(
    () => null,
    (thrown: unknown) => String(thrown),
  );
  const bad = await audit.verify();
  return [
    refused === null ? pass("database", store.kind) : fail("database", refused),
    bad === null ? pass("audit chain", "intact") : fail("audit chain", `row ${bad} does not fit the one before it`),
  ];
};

const PRIVATE = { "": 0o700, "api-token": 0o600, "data.sql": 0o600, "supervisor.sock": 0o600, "daemon.sock": 0o600 };

const modes: Look = ({ paths }) =>
  Object.entries(PRIVATE).flatMap(([file, mode]) => {
    const full = path.join(paths.home, file);
    const actual = fs.statSync(full, { throwIfNoEntry: false })?.mode;
    if (actual === undefined) return [];
    const name = `mode of ${file || "home folder"}`;
    const [is, should] = [(actual & 0o777).toString(8), mode.toString(8)];
    return [is === should ? pass(name, is) : fail(name, `${is} instead of ${should}: chmod ${should} ${full}`)];
  });

const configuration: Look = async ({ config, projects }) => {
  const { broken, unknown, wrong } = config.fileLayer();
  const remarks = [...unknown.map((name) => `${name} is unknown; did you mean ${nearestKey(name)}?`), ...wrong.map((one) => `${one}.`)];
  const file = broken
    ? fail("config.toml", `It is ignored: ${broken}`)
    : remarks.length > 0
      ? warn("config.toml", remarks.join(" "))
      : pass("config.toml", fs.existsSync(config.file.path) ? "read" : "absent, which is fine");
  const blank = (await projects.all()).filter((project) => project.path === "");
  return [
    file,
    ...blank.map(({ name }) =>
      warn(
        `project ${name}`,
        "It has no path: an entry of config.toml replaces the stored one whole, so the entry must give the path too.",
      ),
    ),
  ];
};

const listeners: Look = ({ addresses, wantedPorts }) => {
  const { rest, mcp } = addresses();
  const wanted = wantedPorts();
  return [
    rest.length === 0
      ? warn("web", "off: api.enabled is false. `npm start` or `argus settings set --api '{\"enabled\":true}'` turns it on.")
      : onPort("web", rest.join(", "), rest[0] as string, wanted.rest),
    mcp === null ? fail("mcp", `No port from ${wanted.mcp} on is free; agents have no tools.`) : onPort("mcp", mcp, mcp, wanted.mcp),
  ];
};

function onPort(name: string, evidence: string, address: string, wanted: number): Check {
  const actual = Number(new URL(address).port);
  if (wanted === 0 || actual === wanted) return pass(name, evidence);
  return warn(name, `${evidence}: port ${wanted} belongs to another program, so whoever was told that port misses Argus.`);
}

const programs: Look = async ({ backends, node }) => {
  const git = await node.processes.which("git");
  const usable: string[] = [];
  for (const backend of backends.all())
    if (backend.name !== "shell" && backend.name !== "argus" && (await node.processes.which(backend.command.split(/\s+/)[0] ?? "")))
      usable.push(backend.name);
  return [
    git ? pass("git", git) : fail("git", "git is not on PATH; install it"),
    usable.length > 0
      ? pass("agents", usable.join(", "))
      : warn("agents", "No agent CLI is on PATH; the backends argus and shell work without one."),
  ];
};

export const QUICK: Look[] = [supervisor, database, modes, configuration, listeners, programs];
