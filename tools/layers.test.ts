/** Who may import whom (docs/guide/architecture.md): walks every import and says what to do instead. */
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";

const root = path.resolve(import.meta.dirname, "..");

/** Package to the packages of ours it may import. */
const MAY: Record<string, string[]> = {
  protocol: [],
  supervisor: [],
  agent: ["protocol"],
  client: ["protocol"],
  runner: ["protocol", "supervisor"],
  daemon: ["protocol", "runner", "supervisor", "agent"],
  cli: ["protocol", "client", "supervisor", "daemon", "web"],
  web: ["protocol", "client"],
};
/** Libraries the supervisor may load; it hires last. */
const SUPERVISOR_LIBRARIES = ["@lydell/node-pty", "@xterm/headless", "@xterm/addon-unicode11"];
/** Values, not types, of the program are started by name only. */
const STARTED_BY_NAME = {
  cli: ["@argus/daemon/main", "@argus/web/build"],
  daemon: ["@argus/agent/main", "@argus/agent/pi-extension"],
} as Record<string, string[]>;

interface Import {
  file: string;
  from: string;
  typeOnly: boolean;
}

function imports(pattern: string): Import[] {
  return fs
    .globSync(pattern, { cwd: root })
    .filter((file) => !file.endsWith(".test.ts") && !file.includes("node_modules"))
    .flatMap((file) => {
      const text = fs.readFileSync(path.join(root, file), "utf8");
      return [
        ...text.matchAll(
          /(?:^|\n)\s*(?:import|export)\s+(type\s+)?(?:[^"';]*?\sfrom\s+)?["']([^"']+)["']|import\(\s*["']([^"']+)["']\s*\)|import\.meta\.resolve\(\s*["']([^"']+)["']/g,
        ),
      ].map((match) => ({ file, from: (match[2] ?? match[3] ?? match[4]) as string, typeOnly: Boolean(match[1]) }));
    });
}

test("packages import only the packages below them", () => {
  const wrong = Object.entries(MAY).flatMap(([name, allowed]) =>
    imports(`packages/${name}/src/**/*.{ts,tsx}`)
      .filter(({ from }) => from.startsWith("@argus/") || /^(\.\.\/)+packages\//.test(from))
      .filter(({ from }) => {
        const target = from.split("/")[1] ?? "";
        if (target === name) return false;
        if (STARTED_BY_NAME[name]?.includes(from)) return false;
        return !allowed.includes(target) || (name === "cli" && target === "daemon") || (name === "daemon" && target === "agent");
      })
      .map(({ file, from }) => `${file} imports ${from}: ${name} may import ${allowed.join(", ") || "nothing of ours"}`),
  );
  assert.deepEqual(wrong, []);
});

test("the supervisor loads its two libraries and nothing else", () => {
  const wrong = imports("packages/supervisor/src/**/*.ts").filter(
    ({ from }) => !from.startsWith(".") && !from.startsWith("node:") && !SUPERVISOR_LIBRARIES.includes(from),
  );
  assert.deepEqual(wrong, []);
});

test("the kernel knows no feature and no surface; surfaces know no feature's insides", () => {
  const kernel = imports("packages/daemon/src/kernel/**/*.ts").filter(
    ({ from }) => from.includes("/features/") || from.includes("/surfaces/"),
  );
  assert.deepEqual(kernel, []);
  const surfaces = imports("packages/daemon/src/surfaces/**/*.ts").filter(({ from, typeOnly }) => from.includes("/features/") && !typeOnly);
  assert.deepEqual(surfaces, [], "surfaces may name a feature's type, never run its code");
});

test("features meet through their index, and never in a circle", () => {
  const edges = new Map<string, Set<string>>();
  const wrong: string[] = [];
  for (const { file, from, typeOnly } of imports("packages/daemon/src/features/**/*.ts")) {
    const feature = file.split("/features/")[1]?.split("/")[0] ?? "";
    const target = path.posix.normalize(path.posix.join(path.posix.dirname(file), from)).split("/features/")[1];
    if (!from.startsWith(".") || !target) continue;
    const [other = "", ...inside] = target.split("/");
    if (other === feature) continue;
    if (inside.join("/") !== "index.ts") wrong.push(`${file} reaches into ${target}; import ${other}/index.ts`);
    if (!typeOnly) edges.set(feature, (edges.get(feature) ?? new Set()).add(other));
  }
  assert.deepEqual(wrong, []);
  const walk = (at: string, trail: string[]): void => {
    assert.ok(!trail.includes(at), `features import each other in a circle: ${[...trail, at].join(" -> ")}`);
    for (const next of edges.get(at) ?? []) walk(next, [...trail, at]);
  };
  for (const feature of edges.keys()) walk(feature, []);
});

test("no file holds two ideas: every source file is under 500 lines and says why it exists", () => {
  const files = fs
    .globSync(["packages/*/src/**/*.{ts,tsx}", "packages/*/*.ts"], { cwd: root })
    .filter((file) => !file.includes("node_modules") && !file.includes("/dist/"));
  const long = files.filter((file) => fs.readFileSync(path.join(root, file), "utf8").split("\n").length > 500);
  assert.deepEqual(long, []);
  const silent = files.filter((file) => !/^(#!.*\n)?\/\*\*/.test(fs.readFileSync(path.join(root, file), "utf8")));
  assert.deepEqual(silent, [], "the first line of a file says why it exists");
});

test("no trace of the machine it was built on", () => {
  const machine = [`${path.dirname(root)}${path.sep}shared`, ["..", ".library"].join("/")];
  const files = fs.globSync(["**/*.{ts,tsx,mjs,md,json,sh}", "argus"], {
    cwd: root,
    exclude: (name) => name === "node_modules" || name === "dist" || name === ".git",
  });
  assert.deepEqual(
    files.filter(
      (file) =>
        fs.statSync(path.join(root, file)).isFile() &&
        machine.some((word) => fs.readFileSync(path.join(root, file), "utf8").includes(word)),
    ),
    [],
  );
});
