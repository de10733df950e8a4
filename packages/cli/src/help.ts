/** `argus help [command]`: printed from the daemon's own list of operations. */
import { connect, type ManifestEntry, type Schema } from "./connection.ts";
import { UsageError } from "./flags.ts";
import type { Globals } from "./globals.ts";
import { nearest, typed } from "./words.ts";

const OWN = `Argus runs AI agents side by side, each in its own git worktree and terminal.

  argus                     the interactive face
  argus demo                a sample repository and three tasks
  argus attach <id>         an agent's terminal, here; Ctrl-Q leaves it
  argus login               a link that logs one browser or phone in
  argus doctor              checks everything, and says what to do
  argus daemon              start, stop, restart, status, install, uninstall
  argus session-supervisor  start, stop, status, upgrade
  argus help <command>      what a command takes
`;
const ENDING = `Every command takes --json, and --remote <url> --token <token>.
Exit status: 0 done, 1 a negative answer, 2 bad usage, 3 not allowed, 4 token,
5 busy or unavailable, 6 not found, 10 internal.
`;
const WIDEST = 100; // longer lines are harder to read, however wide the terminal

export async function run(args: string[], globals: Globals): Promise<number> {
  const wanted = args.filter((word) => !word.startsWith("-"));
  const connection = await connect(globals, { start: wanted.length > 0 }).catch((thrown: unknown) => {
    if (globals.remote) throw thrown;
    return null;
  });
  if (!connection) {
    if (globals.json) process.stdout.write('{"operations":[],"daemon":"not running"}\n');
    else process.stdout.write(`${OWN}\nMore commands are listed while the daemon runs: argus daemon start\n\n${ENDING}`);
    return 0;
  }
  const all = (await connection.manifest().finally(() => connection.close())).filter((one) => !one.planned);
  if (wanted.length === 0) {
    process.stdout.write(globals.json ? `${JSON.stringify({ operations: all }, null, 2)}\n` : `${OWN}\n${overview(all)}\n${ENDING}`);
    return 0;
  }
  const name = wanted.join(".").toLowerCase().replaceAll("-", "_");
  const exact = all.filter((one) => one.name === name);
  const found = exact.length > 0 ? exact : all.filter((one) => one.name.startsWith(`${name}.`));
  if (found.length === 0) {
    const near = nearest(wanted.join(" "), [...new Set(all.flatMap((one) => [typed(one.name), typed(one.name.split(".")[0] ?? "")]))]);
    throw new UsageError(
      `There is no command ${JSON.stringify(wanted.join(" "))}.${near ? ` Did you mean: argus help ${near}` : " `argus help` lists them."}`,
    );
  }
  if (globals.json) process.stdout.write(`${JSON.stringify({ operations: found }, null, 2)}\n`);
  else process.stdout.write(found.length === 1 ? describe(found[0] as ManifestEntry) : table(found));
  return 0;
}

/** One line per noun with its verbs, wrapped: a hundred operations on half a screen. */
function overview(all: ManifestEntry[]): string {
  const nouns = new Map<string, string[]>();
  for (const { name } of all) {
    const [noun = "", verb = ""] = name.split(".");
    nouns.set(noun, [...(nouns.get(noun) ?? []), verb.replaceAll("_", "-")]);
  }
  const width = Math.max(...[...nouns.keys()].map((noun) => noun.length)) + 2;
  const lines = [...nouns.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([noun, verbs]) => {
      const words = verbs.filter(Boolean).sort().join(", ");
      return `  ${noun.padEnd(width)}${wrap(words, width + 2)}`.trimEnd();
    });
  return `Commands\n${lines.join("\n")}\n`;
}

function table(found: ManifestEntry[]): string {
  const width = Math.max(...found.map((one) => typed(one.name).length)) + 2;
  return `${found
    .map((one) => `argus ${typed(one.name).padEnd(width)}${wrap(one.summary, width + 6)}\n`)
    .sort()
    .join("")}\n\`argus help ${typed(found[0]?.name ?? "")}\` says what one takes.\n`;
}

function describe(one: ManifestEntry): string {
  const required = new Set(one.input.required ?? []);
  const places = one.positional.map((name) => ` ${required.has(name) ? `<${name}>` : `[${name}]`}`).join("");
  const flags = Object.entries(one.input.properties ?? {}).map(([name, schema]) => ({
    flag: `--${name.replaceAll("_", "-")}${valueOf(schema)}`,
    about: [
      schema.description,
      required.has(name) && "(required)",
      !isEmpty(schema.default) && `(${JSON.stringify(schema.default)} when left out)`,
    ]
      .filter(Boolean)
      .join(" "),
  }));
  const width = Math.min(34, Math.max(0, ...flags.map(({ flag }) => flag.length)) + 2);
  return [
    `argus ${typed(one.name)}${places}${flags.length > 0 ? " [flags]" : ""}`,
    "",
    `  ${wrap(`${one.summary}.`, 2)}`,
    ...(flags.length > 0 ? [""] : []),
    ...flags.map(({ flag, about }) =>
      (flag.length >= width && about !== ""
        ? `  ${flag}\n  ${" ".repeat(width)}${wrap(about, width + 2)}`
        : `  ${flag.padEnd(width)}${wrap(about, width + 2)}`
      ).trimEnd(),
    ),
    "",
  ].join("\n");
}

/** Leaving out what is empty anyway needs no words. */
const isEmpty = (value: unknown) =>
  value === undefined || value === null || value === false || value === "" || (Array.isArray(value) && value.length === 0);

function valueOf(schema: Schema): string {
  const kinds = [schema, ...(schema.anyOf ?? [])];
  const words = kinds.find((one) => one.enum)?.enum;
  if (words) return ` ${words.join("|")}`;
  if (kinds.some((one) => one.type === "boolean")) return "";
  const type = kinds.find((one) => one.type && one.type !== "null")?.type;
  if (type === "array") return " <a,b,…>";
  if (type === "object") return " <JSON>";
  return type === "integer" || type === "number" ? " <number>" : " <text>";
}

/** Breaks at spaces; lines after the first are indented by `indent`. */
function wrap(text: string, indent: number): string {
  const width = Math.min(WIDEST, process.stdout.columns || 80) - indent;
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line].join(`\n${" ".repeat(indent)}`);
}
