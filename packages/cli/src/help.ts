/** `argus help [command]`: printed from the daemon's own list of operations. */
import { connect, type ManifestEntry } from "./connection.ts";
import type { Globals } from "./globals.ts";

const OWN = `Argus runs AI agents side by side, each in its own git worktree and terminal.

  argus                          the interactive face
  argus demo                     a sample repository and three tasks
  argus attach <id>              an agent's terminal, here; Ctrl-Q leaves it
  argus login                    a link that logs a browser or phone in
  argus daemon start|stop|restart|status|install|uninstall
  argus session-supervisor start|stop|status|upgrade
  argus doctor                   checks itself
  argus help <command>           what a command takes

Every command takes --json, and --remote <url> --token <token>. Exit status: 0 done, 1 a negative answer,
2 bad usage, 3 not allowed, 4 token, 5 busy or unavailable, 6 not found, 10 internal.
`;

export async function run(args: string[], globals: Globals): Promise<number> {
  const wanted = args.filter((word) => !word.startsWith("-"));
  const connection = await connect(globals, { start: wanted.length > 0 }).catch(() => null);
  if (!connection) {
    process.stdout.write(`${OWN}\nMore commands are listed while the daemon runs: argus daemon start\n`);
    return 0;
  }
  const operations = (await connection.manifest()).filter(
    (one) =>
      wanted.length === 0 ||
      one.name.startsWith(wanted.join(".").replaceAll("-", "_")) ||
      one.name === wanted.join(".").replaceAll("-", "_"),
  );
  connection.close();
  if (wanted.length === 0) {
    const width = Math.max(...operations.map((one) => command(one).length));
    process.stdout.write(
      `${OWN}\nOperations\n${operations
        .map((one) => `  ${command(one).padEnd(width)}  ${one.summary}\n`)
        .sort()
        .join("")}`,
    );
    return 0;
  }
  for (const one of operations) process.stdout.write(describe(one));
  if (operations.length > 0) return 0;
  process.stderr.write(`argus: there is no command ${JSON.stringify(wanted.join(" "))}.\n`);
  return 2;
}

const command = (one: ManifestEntry) => one.name.replaceAll(".", " ").replaceAll("_", "-");

function describe(one: ManifestEntry): string {
  const required = new Set(one.input.required ?? []);
  const places = one.positional.map((name) => (required.has(name) ? `<${name}>` : `[${name}]`)).join(" ");
  const flags = Object.entries(one.input.properties ?? {}).map(
    ([name, schema]) =>
      `  --${name.replaceAll("_", "-")}${schema.enum ? ` ${schema.enum.join("|")}` : schema.type && schema.type !== "boolean" ? ` <${schema.type}>` : ""}${required.has(name) ? " (required)" : ""}${schema.description ? `  ${schema.description}` : ""}\n`,
  );
  return `argus ${command(one)} ${places}\n  ${one.summary}\n${flags.join("")}\n`;
}
