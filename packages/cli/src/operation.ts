/** Any operation as a subcommand: `argus task create demo "fix the login"` is `task.create`. */
import { connect, type ManifestEntry } from "./connection.ts";
import { inputFrom, UsageError } from "./flags.ts";
import type { Globals } from "./globals.ts";
import { print, printItem } from "./output.ts";
import { nearest, typed } from "./words.ts";

const OWN_COMMANDS = ["daemon", "session-supervisor", "attach", "login", "demo", "doctor", "help"];

export async function run(given: string[], globals: Globals): Promise<number> {
  // The document's own spelling: a scope makes another kind of token (TOKEN-09).
  const scoped = given[0] === "token" && given[1] === "mint" && given.some((word) => /^--scope(=|$)/.test(word));
  const args = scoped ? ["token", "mint-scope", ...given.slice(2)] : given;
  const words = args.findIndex((word) => word.startsWith("-"));
  const names = candidates(words < 0 ? args : args.slice(0, words));
  // Asking for the status must not start what it asks about.
  const connection = await connect(globals, { start: names[0]?.name !== "status" }).catch((thrown: unknown) => {
    if (args[0] !== "status") throw thrown;
    const sentence = "No daemon is running. Start it with: argus daemon start";
    if (globals.json) process.stdout.write(`${JSON.stringify({ ok: false, error: sentence })}\n`);
    else process.stderr.write(`${sentence}\n`);
    return null;
  });
  if (!connection) return 1;
  try {
    const found = await connection.manifest(names.map((one) => one.name));
    const match = names.find((one) => found.some((entry) => entry.name === one.name));
    const operation = found.find((entry) => entry.name === match?.name);
    if (!match || !operation)
      throw new UsageError(unknown(args.slice(0, Math.min(2, words < 0 ? 2 : words)).join(" "), await connection.manifest()));
    const input = inputFrom(operation, args.slice(match.length));
    if (!operation.stream) {
      print(operation.name, await connection.call(operation.name, input), globals.json);
      return 0;
    }
    if (!connection.stream)
      throw new UsageError(`${operation.name} is a stream; over --remote use GET ${operation.rest[0]?.split(" ")[1] ?? ""} instead.`);
    for await (const item of connection.stream(operation.name, input)) printItem(item, globals.json);
    return 0;
  } finally {
    connection.close();
  }
}

function unknown(command: string, all: ManifestEntry[]): string {
  const nouns = [...new Set(all.map((one) => one.name.split(".")[0] as string))];
  const near = nearest(command, [...all.map((one) => typed(one.name)), ...OWN_COMMANDS]);
  if (near) return `There is no command ${JSON.stringify(command)}. Did you mean: argus ${near}`;
  const noun = command.split(" ")[0] ?? "";
  const verbs = all.filter((one) => one.name.startsWith(`${noun}.`)).map((one) => typed(one.name.slice(noun.length + 1)));
  if (verbs.length > 0) return `There is no command ${JSON.stringify(command)}. argus ${noun} takes: ${verbs.join(", ")}.`;
  const other = nearest(noun, nouns);
  return `There is no command ${JSON.stringify(command)}. ${other ? `Did you mean \`argus help ${other}\`? ` : ""}\`argus help\` lists them.`;
}

/** `task set-status x` may be `task.set_status` or `task`; the longest that exists wins. */
function candidates(words: string[]): { name: string; length: number }[] {
  const plain = words.map((word) => word.toLowerCase().replaceAll("-", "_"));
  const found: { name: string; length: number }[] = [];
  const [first, second, third] = plain;
  if (first?.includes(".")) found.push({ name: first, length: 1 });
  if (first && second && third)
    found.push({ name: `${first}.${second}_${third}`, length: 3 }, { name: `${first}.${second}.${third}`, length: 3 });
  if (first && second) found.push({ name: `${first}.${second}`, length: 2 });
  if (first) found.push({ name: first, length: 1 });
  return found;
}
