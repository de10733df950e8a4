/** Makes file names of uploads harmless: whoever sent them chose the name. */
import { basename, extname } from "node:path";

/** SESSION-41: characters, extension included. */
const MAX_CHARACTERS = 100;
/** File systems allow 255 bytes; the rest is for a number on collision. */
const MAX_BYTES = 240;
/** A longer "extension" is part of a sentence that happens to contain a dot. */
const MAX_EXTENSION = 16;

/** Control characters, bidirectional and other invisible marks, lone surrogates, line separators. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** Splits a name before its extension. */
function parts(name: string): { stem: string; extension: string } {
  const extension = extname(name);
  return [...extension].length > MAX_EXTENSION
    ? { stem: name, extension: "" }
    : { stem: name.slice(0, name.length - extension.length), extension };
}

/** Cuts the stem so that stem, `more` and extension stay within both limits. */
function fitted(name: string, more: string): string {
  const { stem, extension } = parts(name);
  const characters = [...stem].slice(0, MAX_CHARACTERS - [...(more + extension)].length);
  while (Buffer.byteLength(characters.join("") + more + extension) > MAX_BYTES) characters.pop();
  return characters.join("") + more + extension;
}

/** The base name with invisible characters replaced by `_`, without leading dashes, dots and spaces; `file` when nothing is left. */
export function cleanFileName(name: string): string {
  const base = basename(name.normalize("NFC").replaceAll("\\", "/").replace(/\/+$/, ""));
  const clean = base
    .replace(INVISIBLE, "_")
    .replace(/^[-.\s]+/, "")
    .trimEnd();
  return fitted(clean === "" ? "file" : clean, "");
}

/** The name for the n-th collision: `a.txt`, `a-1.txt`, `a-2.txt`. */
export function numbered(name: string, number: number): string {
  return number === 0 ? name : fitted(name, `-${number}`);
}
