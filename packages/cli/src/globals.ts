/** Flags every command takes. */

export interface Globals {
  /** Words and flags that are not global. */
  args: string[];
  json: boolean;
  help: boolean;
  version: boolean;
  /** Address of a daemon on another machine, and the token for it. */
  remote: string | null;
  token: string | null;
}

export function parseGlobals(argv: string[]): Globals {
  const globals: Globals = { args: [], json: false, help: false, version: false, remote: null, token: process.env.ARGUS_TOKEN ?? null };
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] as string;
    if (word === "--") {
      globals.args.push(...argv.slice(at));
      break;
    }
    if (word === "--json") globals.json = true;
    else if (word === "--help" || word === "-h") globals.help = true;
    else if ((word === "--version" || word === "-V") && at === 0) globals.version = true;
    else if (word === "--remote") globals.remote = argv[++at] ?? null;
    else if (word === "--token") globals.token = argv[++at] ?? null;
    else globals.args.push(word);
  }
  return globals;
}
