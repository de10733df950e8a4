/** Any operation as a subcommand: `argus task create demo "fix the login"` is `task.create`. */
import { connect } from "./connection.ts";
import { inputFrom, UsageError } from "./flags.ts";
import type { Globals } from "./globals.ts";
import { print, printItem } from "./output.ts";

export async function run(args: string[], globals: Globals): Promise<number> {
  const words = args.findIndex((word) => word.startsWith("-"));
  const names = candidates(words < 0 ? args : args.slice(0, words));
  // Asking for the status must not start what it asks about.
  const connection = await connect(globals, { start: names[0]?.name !== "status" }).catch((thrown: unknown) => {
    if (args[0] !== "status") throw thrown;
    process.stderr.write("No daemon is running. Start it with: argus daemon start\n");
    return null;
  });
  if (!connection) return 1;
  try {
    const found = await connection.manifest(names.map((one) => one.name));
    const match = names.find((one) => found.some((entry) => entry.name === one.name));
    const operation = found.find((entry) => entry.name === match?.name);
    if (!match || !operation)
      throw new UsageError(`There is no command ${JSON.stringify(args.slice(0, 2).join(" "))}. \`argus help\` lists them.`);
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
