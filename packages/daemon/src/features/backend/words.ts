/** Splits a backend's command line into words the way a shell would, without being one. */
import { ArgusError } from "@argus/protocol";

/** Words that need a real shell to mean what they say: pipes, redirections, expansions. */
const NEEDS_SHELL = /[|&;<>()$`*?~]/;

export interface CommandWords {
  /** Leading `NAME=value` words. */
  env: Record<string, string>;
  argv: string[];
  /** The template holds shell syntax: it is run by `sh -c`, and everything appended arrives as positional parameters, never as text. */
  shell: boolean;
}

/** Single and double quotes and backslashes; throws INVALID_INPUT for an unclosed quote or an empty command. */
export function splitCommand(command: string): CommandWords {
  const words: string[] = [];
  let word = "";
  let inWord = false;
  let quote = "";
  let shell = false;
  for (let i = 0; i < command.length; i++) {
    const c = command[i] as string;
    if (quote === "'") {
      if (c === "'") quote = "";
      else word += c;
    } else if (quote === '"') {
      if (c === '"') quote = "";
      else if (c === "\\" && /["\\$`]/.test(command[i + 1] ?? "")) word += command[++i];
      else {
        if (c === "$" || c === "`") shell = true;
        word += c;
      }
    } else if (c === "'" || c === '"') {
      quote = c;
      inWord = true;
    } else if (c === "\\") {
      word += command[++i] ?? "";
      inWord = true;
    } else if (/\s/.test(c)) {
      if (inWord) words.push(word);
      word = "";
      inWord = false;
    } else {
      if (NEEDS_SHELL.test(c)) shell = true;
      word += c;
      inWord = true;
    }
  }
  if (quote)
    throw new ArgusError(
      "INVALID_INPUT",
      `The command ${JSON.stringify(command)} has an unclosed ${quote === "'" ? "single" : "double"} quote.`,
    );
  if (inWord) words.push(word);
  const env: Record<string, string> = {};
  while (words[0] && /^[A-Za-z_][A-Za-z0-9_]*=/.test(words[0])) {
    const assignment = words.shift() as string;
    const at = assignment.indexOf("=");
    env[assignment.slice(0, at)] = assignment.slice(at + 1);
  }
  if (words.length === 0) throw new ArgusError("INVALID_INPUT", `The command ${JSON.stringify(command)} names no program.`);
  return { env, argv: words, shell };
}
