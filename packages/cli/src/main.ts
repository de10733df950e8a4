/** `argus`: the command line. Knows a few words of its own; every operation of the daemon is a subcommand. */
import { parseGlobals } from "./globals.ts";

/** Own words, loaded only when used: a command should start as fast as the runtime does. */
const WORDS: Record<string, () => Promise<{ run(args: string[], globals: ReturnType<typeof parseGlobals>): Promise<number> }>> = {
  daemon: () => import("./daemon.ts"),
  "session-supervisor": () => import("./supervisor.ts"),
  attach: () => import("./attach.ts"),
  login: () => import("./login.ts"),
  demo: () => import("./demo.ts"),
  doctor: () => import("./doctor.ts"),
  help: () => import("./help.ts"),
};
/** Own words that are also the first word of operations: `argus daemon info` is one, `argus daemon start` is not. */
const OPERATIONS: Record<string, Set<string>> = { daemon: new Set(["info"]) };

const globals = parseGlobals(process.argv.slice(2));
const [first = "", second = ""] = globals.args;
try {
  process.exitCode = await dispatch();
} catch (thrown) {
  const { report } = await import("./output.ts");
  process.exitCode = report(thrown, globals.json, ["argus", first, second].join(" ").trim());
}
// Anything still open (a connection kept alive) must not keep a finished command.
process.exit();

async function dispatch(): Promise<number> {
  if (globals.version) {
    process.stdout.write(globals.json ? '{"version":"0.1.0"}\n' : "argus 0.1.0\n");
    return 0;
  }
  if (globals.help && !WORDS[first]) return (await import("./help.ts")).run(globals.args, globals);
  if (first === "") {
    if (process.stdout.isTTY && process.stdin.isTTY) return (await import("./face.ts")).run([], globals);
    return (await import("./help.ts")).run([], globals);
  }
  const own = WORDS[first];
  if (own && !OPERATIONS[first]?.has(second)) return (await own()).run(globals.args.slice(1), globals);
  return (await import("./operation.ts")).run(globals.args, globals);
}
