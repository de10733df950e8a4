/** Starting at login: the files that are written, read back; and the commands given to systemd and launchd, which stand-ins on PATH record. */
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { launchdPlist, servicePath, systemdUnit } from "../src/service-files.ts";
import { ROOT, Scratch } from "./scratch.ts";

const PARTS = {
  program: "/home/o brien/.argus/argusd",
  log: "/home/o brien/.argus/100%.log",
  env: { PATH: "/usr/bin:/bin", ARGUS_HOME: '/home/o brien/$x"y\\z & <more>' },
};

/** Keys of a unit file by section; a key given twice has two values. */
function parseUnit(text: string): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  let section = "";
  for (const line of text.split("\n")) {
    const name = /^\[(\w+)\]$/.exec(line)?.[1];
    if (name) section = name;
    const at = line.indexOf("=");
    if (!name && at > 0) (found[`${section}.${line.slice(0, at)}`] ??= []).push(line.slice(at + 1));
  }
  return found;
}

/** The words of a unit file's value, as systemd reads them. */
function words(value: string): string[] {
  return [...value.matchAll(/"((?:\\.|[^"\\])*)"|(\S+)/g)].map(([, quoted, plain]) =>
    (quoted ?? plain ?? "").replaceAll("%%", "%").replaceAll("$$", "$").replace(/\\(.)/g, "$1"),
  );
}

test("LIFECYCLE-13: the systemd unit restarts on failure only, ends only the daemon itself, and keeps spaces, quotes, $ and % whole", () => {
  const unit = parseUnit(systemdUnit(PARTS));
  assert.deepEqual(words(unit["Service.ExecStart"]?.[0] ?? ""), [PARTS.program, "daemon", "run"]);
  assert.deepEqual(
    unit["Service.Environment"]?.map((line) => words(line)[0]),
    ["PATH=/usr/bin:/bin", `ARGUS_HOME=${PARTS.env.ARGUS_HOME}`],
  );
  const one = (name: string) => unit[name]?.join();
  assert.deepEqual(
    [one("Service.Restart"), one("Service.KillMode"), one("Service.StandardOutput"), one("Install.WantedBy")],
    ["on-failure", "process", "append:/home/o brien/.argus/100%%.log", "default.target"],
  );
});

/** A property list of dictionaries, arrays, strings and booleans as a value. */
function parsePlist(text: string): unknown {
  const tokens = [...text.matchAll(/<(\/?)(dict|array|string|key|true|false)(\/?)>([^<]*)/g)].map(([, close, tag, , inner]) => ({
    close,
    tag,
    inner,
  }));
  let at = 0;
  const value = (): unknown => {
    const { tag, inner = "" } = tokens[at++] ?? {};
    if (tag === "true" || tag === "false") return tag === "true";
    if (tag === "string" || tag === "key") {
      at++;
      return inner.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
    }
    const items: unknown[] = [];
    while (!tokens[at]?.close) items.push(value());
    at++;
    if (tag === "array") return items;
    return Object.fromEntries(Array.from({ length: items.length / 2 }, (_, n) => [items[2 * n], items[2 * n + 1]]));
  };
  return value();
}

test("LIFECYCLE-12: the launchd file starts the daemon at load, keeps it alive unless it ended well, and writes to launchd.log", () => {
  assert.deepEqual(parsePlist(launchdPlist(PARTS)), {
    Label: "com.drn.argus.daemon",
    ProgramArguments: [PARTS.program, "daemon", "run"],
    EnvironmentVariables: PARTS.env,
    RunAtLoad: true,
    KeepAlive: { SuccessfulExit: false },
    AbandonProcessGroup: true,
    StandardOutPath: PARTS.log,
    StandardErrorPath: PARTS.log,
  });
});

test("LIFECYCLE-13: the service's PATH has the usual places first and the shell's own after them", () => {
  assert.equal(
    servicePath("/home/u", "/work/clone/node_modules/.bin:/home/u/.nvm/bin:/usr/bin:relative:/home/u/.nvm/bin"),
    "/home/u/.local/bin:/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:/home/u/.nvm/bin",
  );
});

/** Programs that write their arguments down and answer as told. */
function standIns(scratch: Scratch, scripts: Record<string, string>): { env: Record<string, string>; said(): string[] } {
  const bin = path.join(scratch.home, "bin");
  const record = path.join(scratch.home, "said");
  fs.mkdirSync(bin, { recursive: true });
  for (const [name, body] of Object.entries(scripts))
    fs.writeFileSync(path.join(bin, name), `#!/bin/sh\necho "${name} $*" >> '${record}'\n${body}\n`, { mode: 0o755 });
  return {
    env: { PATH: `${bin}:${scratch.env.PATH}` },
    said: () => {
      const lines = fs.existsSync(record) ? fs.readFileSync(record, "utf8").trim().split("\n") : [];
      fs.rmSync(record, { force: true });
      return lines;
    },
  };
}

if (process.platform === "linux") {
  test("LIFECYCLE-13, LIFECYCLE-15, LIFECYCLE-16: install writes and starts the unit, a second one brings it up to date, status names it, uninstall removes it, twice", async () => {
    await using scratch = new Scratch();
    const enabled = path.join(scratch.home, "enabled");
    const { env, said } = standIns(scratch, {
      systemctl: `case "$2" in enable) touch '${enabled}';; disable) rm -f '${enabled}';; is-enabled) test -e '${enabled}';; esac`,
      loginctl: "echo Linger=yes",
    });
    const file = path.join(scratch.env.HOME as string, ".config", "systemd", "user", "argus-daemon.service");
    const argus = (...args: string[]) => scratch.run(args, { env });
    const state = async () => JSON.parse((await argus("daemon", "status", "--json")).stdout).service;

    assert.match((await argus("daemon", "start")).stdout, new RegExp(`service +not installed \\(argus daemon install writes ${file}\\)`));
    assert.deepEqual(await state(), { file, installed: false, loaded: false });
    said();
    const first = await argus("daemon", "install");
    assert.equal(first.status, 0, first.stderr);
    assert.ok(!first.stdout.includes("linger"));
    assert.deepEqual(
      said().filter((line) => !line.includes("show-")),
      ["systemctl --user daemon-reload", "systemctl --user enable argus-daemon.service", "systemctl --user restart argus-daemon.service"],
    );
    const unit = parseUnit(fs.readFileSync(file, "utf8"));
    assert.deepEqual(words(unit["Service.ExecStart"]?.[0] ?? ""), [scratch.at("argusd"), "daemon", "run"]);
    assert.ok(unit["Service.Environment"]?.some((line) => words(line)[0] === `ARGUS_HOME=${scratch.argus}`));
    assert.equal(fs.readlinkSync(scratch.at("argusd")), path.join(ROOT, "argus"));
    assert.deepEqual(await state(), { file, installed: true, loaded: true });

    // As if it had been installed from another place before.
    fs.rmSync(scratch.at("argusd"));
    fs.symlinkSync("/nowhere/argus", scratch.at("argusd"));
    assert.equal((await argus("daemon", "install")).status, 0);
    assert.equal(fs.readlinkSync(scratch.at("argusd")), path.join(ROOT, "argus"));

    for (const expected of [/The service is gone/, /No service was installed/]) {
      const { status, stdout } = await argus("daemon", "uninstall");
      assert.equal(status, 0);
      assert.match(stdout, expected);
    }
    assert.ok(!fs.existsSync(file));
    assert.deepEqual(await state(), { file, installed: false, loaded: false });
  });

  test("LIFECYCLE-12: on macOS install writes the file and gives it to launchd, again when it was loaded before", async () => {
    await using scratch = new Scratch();
    const loaded = path.join(scratch.home, "loaded");
    const { env, said } = standIns(scratch, {
      launchctl: `case "$1" in bootstrap) touch '${loaded}';; bootout) rm -f '${loaded}';; print) test -e '${loaded}';; esac`,
    });
    const file = path.join(scratch.env.HOME as string, "Library", "LaunchAgents", "com.drn.argus.daemon.plist");
    const service = path.join(ROOT, "packages", "cli", "src", "service.ts");
    const install = () =>
      scratch.program(process.execPath, ["-e", `import(${JSON.stringify(service)}).then((it) => it.install("darwin"))`], { env });
    const domain = `gui/${process.getuid?.()}`;
    assert.equal((await install()).status, 0);
    assert.deepEqual(said(), [`launchctl print ${domain}/com.drn.argus.daemon`, `launchctl bootstrap ${domain} ${file}`]);
    assert.match(fs.readFileSync(file, "utf8"), new RegExp(`<string>${scratch.at("argusd")}</string>`));
    assert.match(fs.readFileSync(file, "utf8"), new RegExp(`<string>${scratch.at("launchd.log")}</string>`));
    assert.equal((await install()).status, 0);
    assert.ok(said().includes(`launchctl bootout ${domain}/com.drn.argus.daemon`));
  });

  test("LIFECYCLE-18: without linger the install says that agents end at logout, and names the command", async () => {
    await using scratch = new Scratch();
    const { env } = standIns(scratch, { systemctl: "exit 0", loginctl: "echo Linger=no" });
    assert.match((await scratch.run(["daemon", "install"], { env })).stdout, /agents end when you log out\. `loginctl enable-linger`/);
  });

  test("LIFECYCLE-16: where no service manager answers, install refuses with what to do instead, and a failing one passes its words on", async () => {
    await using scratch = new Scratch();
    const none = standIns(scratch, { systemctl: "exit 1" });
    const refused = await scratch.run(["daemon", "install"], { env: none.env });
    assert.equal(refused.status, 5);
    assert.match(refused.stderr, /`argus daemon start` starts it by hand/);
    const failing = standIns(scratch, { systemctl: 'case "$2" in restart) echo "Job failed." >&2; exit 1;; esac' });
    const failed = await scratch.run(["daemon", "install"], { env: failing.env });
    assert.equal(failed.status, 5);
    assert.match(failed.stderr, /systemctl --user restart argus-daemon\.service failed: Job failed\./);
  });

  test("what the unit runs becomes the daemon itself: killed it fails, stopped by command it exits 0", async () => {
    await using scratch = new Scratch();
    fs.mkdirSync(scratch.argus, { mode: 0o700 });
    fs.symlinkSync(path.join(ROOT, "argus"), scratch.at("argusd"));
    const started = scratch.spawn(scratch.at("argusd"), ["daemon", "run"]);
    await scratch.answering();
    assert.equal(scratch.pid(), started.child.pid);
    process.kill(scratch.pid() as number, "SIGKILL");
    assert.deepEqual(await started.exited, { code: null, signal: "SIGKILL" });
    const again = scratch.spawn(scratch.at("argusd"), ["daemon", "run"]);
    await scratch.answering();
    await scratch.ok("daemon", "stop");
    assert.deepEqual(await again.exited, { code: 0, signal: null });
  });
}
