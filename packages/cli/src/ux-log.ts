/** `~/.argus/ux.log`: what went wrong in a command or a face, for the moment after it scrolled away. */
import fs from "node:fs";
import path from "node:path";
import { argusHome } from "./home.ts";

const ROTATE_BYTES = 10 * 1024 * 1024; // LIFECYCLE-24
const KEEP = 3;

/** One line: when, which command, what. Never its arguments: they may hold a token. Losing a line is no second failure. */
export function noteFailure(command: string, code: string, message: string): void {
  const home = argusHome();
  const file = path.join(home, "ux.log");
  try {
    if (!fs.existsSync(home)) return;
    if ((fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0) > ROTATE_BYTES) rotate(file);
    fs.appendFileSync(file, `${JSON.stringify({ time: new Date().toISOString(), command, code, msg: message })}\n`, { mode: 0o600 });
  } catch {}
}

function rotate(file: string): void {
  for (let n = KEEP - 1; n >= 1; n--) if (fs.existsSync(`${file}.${n}`)) fs.renameSync(`${file}.${n}`, `${file}.${n + 1}`);
  fs.renameSync(file, `${file}.1`);
}
