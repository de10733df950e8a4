/** Turns words and flags into an operation's input, by its schema. */
import type { ManifestEntry, Schema } from "./connection.ts";
import { nearest, typed } from "./words.ts";

/** Bad usage: exit status 2. */
export class UsageError extends Error {}

/** `--name value`, `--name=value`, `--flag`, `--no-flag`; positional words fill the operation's positional fields, the last takes all that is left. */
export function inputFrom(operation: ManifestEntry, words: string[]): Record<string, unknown> {
  const properties = operation.input.properties ?? {};
  const input: Record<string, unknown> = {};
  const loose: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] as string;
    if (word === "--") {
      loose.push(...words.slice(at + 1));
      break;
    }
    if (!word.startsWith("--")) {
      loose.push(word);
      continue;
    }
    const [flag, inline] = split(word.slice(2));
    const negated = flag.startsWith("no_") && !(flag in properties);
    const name = negated ? flag.slice(3) : flag;
    const schema = properties[name];
    if (!schema) throw new UsageError(unknownFlag(operation.name, flag, Object.keys(properties)));
    if (isBoolean(schema) && inline === undefined && !/^(true|false)$/.test(words[at + 1] ?? "")) input[name] = !negated;
    else {
      const value = inline ?? words[++at];
      if (value === undefined) throw new UsageError(`--${flag.replaceAll("_", "-")} needs a value.`);
      add(input, name, schema, value);
    }
  }
  const places = operation.positional.filter((name) => !(name in input));
  loose.forEach((word, index) => {
    const name = places[Math.min(index, places.length - 1)];
    if (name === undefined)
      throw new UsageError(
        `argus ${typed(operation.name)} takes no word ${JSON.stringify(word)} here. \`argus help ${typed(operation.name)}\` shows what it takes.`,
      );
    const schema = properties[name] ?? {};
    if (index >= places.length && !isList(schema)) input[name] = `${String(input[name])} ${word}`;
    else add(input, name, schema, word);
  });
  return input;
}

function unknownFlag(operation: string, flag: string, known: string[]): string {
  const dashed = (name: string) => `--${name.replaceAll("_", "-")}`;
  const near = nearest(flag, known);
  return `argus ${typed(operation)} has no flag ${dashed(flag)}. ${
    near ? `Did you mean ${dashed(near)}? ` : ""
  }${known.length > 0 ? `It has ${known.map(dashed).join(", ")}.` : "It has none."}`;
}

function split(text: string): [string, string | undefined] {
  const at = text.indexOf("=");
  const name = (at < 0 ? text : text.slice(0, at)).replaceAll("-", "_");
  return [name, at < 0 ? undefined : text.slice(at + 1)];
}

function add(input: Record<string, unknown>, name: string, schema: Schema, text: string): void {
  if (isList(schema) && !text.startsWith("[")) input[name] = [...((input[name] as unknown[]) ?? []), ...text.split(",").filter(Boolean)];
  else input[name] = valueOf(schema, text);
}

function valueOf(schema: Schema, text: string): unknown {
  const types = [schema, ...(schema.anyOf ?? [])].map((one) => one.type);
  if (types.includes("boolean") && /^(true|false)$/.test(text)) return text === "true";
  if ((types.includes("integer") || types.includes("number")) && /^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  if (types.includes("string")) return text;
  if (types.includes("object") || types.includes("array") || schema.type === undefined)
    try {
      return JSON.parse(text) as unknown;
    } catch {
      return text;
    }
  return text;
}

const isBoolean = (schema: Schema) => [schema, ...(schema.anyOf ?? [])].some((one) => one.type === "boolean");
const isList = (schema: Schema) => schema.type === "array";
