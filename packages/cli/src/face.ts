/** A first interactive face: the tasks, live, and one key into an agent's terminal. */
import { createInterface } from "node:readline/promises";
import { SocketClient } from "@argus/client/socket";
import { attach } from "./attach.ts";
import { isOther, startDaemon, stopDaemon } from "./daemon.ts";
import type { Globals } from "./globals.ts";
import { daemonSocket } from "./home.ts";

interface Row {
  id: string;
  name: string;
  project: string;
  status: string;
  attention: boolean;
  elapsed?: string;
  state?: { value: string; evidence: string };
}

const LOOK: Record<string, [glyph: string, colour: number, word: string]> = {
  needs_input: ["◆", 214, "needs you"],
  working: ["●", 75, "working"],
  starting: ["◐", 75, "starting"],
  idle: ["○", 146, "idle"],
  paused: ["‖", 146, "paused"],
  unverifiable: ["?", 245, "unverifiable"],
  pending: ["○", 245, "pending"],
  in_review: ["◇", 141, "in review"],
  complete: ["✓", 78, "done"],
};
const REFRESH_MS = 2000;
const colours = process.env.NO_COLOR === undefined;
const paint = (colour: number, text: string) => (colours ? `\x1b[38;5;${colour}m${text}\x1b[0m` : text);
const dim = (text: string) => (colours ? `\x1b[2m${text}\x1b[0m` : text);
const bold = (text: string) => (colours ? `\x1b[1m${text}\x1b[0m` : text);

export async function run(_args: string[], _globals: Globals): Promise<number> {
  const face = new Face(isOther(await startDaemon()));
  return face.run();
}

class Face {
  #client: SocketClient | null = null;
  #rows: Row[] = [];
  #selected = 0;
  #note = "";
  #lost = false;
  #suspended = false;
  #done = Promise.withResolvers<number>();
  /** The daemon was started from another build (LIFECYCLE-11). */
  #other: boolean;

  constructor(other: boolean) {
    this.#other = other;
  }

  async run(): Promise<number> {
    const { stdin, stdout } = process;
    this.#enter();
    stdout.on("resize", () => this.#draw());
    stdin.on("data", (chunk: Buffer) => void this.#key(chunk.toString("utf8")));
    const timer = setInterval(() => void this.#refresh(), REFRESH_MS);
    await this.#refresh();
    void this.#follow();
    const status = await this.#done.promise;
    clearInterval(timer);
    this.#leave();
    return status;
  }

  #enter(): void {
    process.stdin.setRawMode(true);
    process.stdin.resume();
    process.stdout.write("\x1b[?1049h\x1b[?25l");
    this.#suspended = false;
  }

  #leave(): void {
    this.#suspended = true;
    process.stdin.setRawMode(false);
    process.stdout.write("\x1b[?25h\x1b[?1049l");
  }

  async #call<T>(name: string, input: unknown = {}): Promise<T> {
    this.#client ??= await SocketClient.connect(daemonSocket());
    try {
      return await this.#client.call<T>(name, input);
    } catch (thrown) {
      if ((thrown as { code?: string }).code === "UNAVAILABLE") this.#client = null;
      throw thrown;
    }
  }

  async #follow(): Promise<void> {
    for (;;) {
      try {
        using client = await SocketClient.connect(daemonSocket());
        for await (const _event of client.stream("event.stream")) await this.#refresh();
      } catch {}
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }

  async #refresh(): Promise<void> {
    try {
      const { tasks } = await this.#call<{ tasks: Row[] }>("task.list");
      const current = this.#rows[this.#selected]?.id;
      this.#rows = tasks.sort((a, b) => rank(a) - rank(b) || Number(b.id) - Number(a.id));
      const kept = this.#rows.findIndex((row) => row.id === current);
      this.#selected = Math.max(0, Math.min(kept >= 0 ? kept : this.#selected, this.#rows.length - 1));
      this.#lost = false;
    } catch {
      this.#lost = true;
    }
    this.#draw();
  }

  #draw(): void {
    if (this.#suspended) return;
    const columns = process.stdout.columns || 80;
    const height = process.stdout.rows || 24;
    const needs = this.#rows.filter((row) => look(row) === LOOK.needs_input).length;
    const unseen = this.#rows.filter((row) => row.attention && look(row) !== LOOK.needs_input).length;
    const working = this.#rows.filter((row) => look(row) === LOOK.working).length;
    const lines: string[] = [
      `${bold(" Argus")}  ${needs > 0 ? paint(214, `◆ ${needs} need${needs === 1 ? "s" : ""} you`) : dim("Nothing needs you.")}  ${dim(`${unseen > 0 ? `${unseen} to look at · ` : ""}${working} working · ${this.#rows.length} task${this.#rows.length === 1 ? "" : "s"}`)}`,
      "",
    ];
    if (this.#other) lines[1] = paint(214, " The daemon runs another build than this one. R restarts it; agents go on.");
    if (this.#lost) lines[1] = paint(203, " The daemon does not answer; agents go on. Reconnecting…");
    const room = height - 4;
    const first = Math.max(0, Math.min(this.#selected - Math.floor(room / 2), this.#rows.length - room));
    if (this.#rows.length === 0)
      lines.push(" No tasks yet.", "", dim(" n makes one; `argus demo` sets up a sample repository and three tasks."));
    for (const [index, row] of this.#rows.slice(first, first + room).entries()) {
      const [glyph, colour, word] = look(row);
      const chosen = first + index === this.#selected;
      const name = fit(row.name, Math.max(12, Math.min(44, columns - 44)));
      const text = `${chosen ? "▸" : " "} ${paint(colour, glyph)} ${chosen || row.attention ? bold(name) : name} ${paint(colour, word.padEnd(12))} ${dim(fit(row.project, 14))} ${dim((row.elapsed ?? "").padStart(4))}`;
      const left = columns - 44 - Math.min(44, columns - 44);
      lines.push(left > 12 ? `${text}  ${dim(fit(row.state?.evidence ?? "", left))}` : text);
    }
    while (lines.length < height - 1) lines.push("");
    lines.push(
      this.#note
        ? paint(214, ` ${this.#note}`)
        : dim(
            columns < 100
              ? " enter open · n new · s stop · r resume · c complete · a archive · q quit"
              : " enter open · n new · s stop · r resume · c complete · a archive · l login link · q quit (agents go on)",
          ),
    );
    process.stdout.write(`\x1b[?2026h\x1b[H${lines.map((line) => `${cut(line, columns)}\x1b[K`).join("\r\n")}\x1b[J\x1b[?2026l`);
  }

  async #key(key: string): Promise<void> {
    if (this.#suspended) return;
    this.#note = "";
    const row = this.#rows[this.#selected];
    if (key === "q" || key === "\x03") return this.#done.resolve(0);
    if (key === "j" || key === "\x1b[B") this.#selected = Math.min(this.#rows.length - 1, this.#selected + 1);
    else if (key === "k" || key === "\x1b[A") this.#selected = Math.max(0, this.#selected - 1);
    else if (key === "\r" && row) await this.#open(row);
    else if (key === "n") await this.#new();
    else if (key === "s" && row) await this.#do("task.stop", row);
    else if (key === "r" && row) await this.#do("task.resume", row);
    else if (key === "c" && row) await this.#do("task.complete", row);
    else if (key === "a" && row) await this.#do("task.archive", row);
    else if (key === "R" && this.#other) await this.#restart();
    else if (key === "l")
      this.#note = (await this.#call<{ url: string }>("token.login_link").catch((thrown: Error) => ({ url: thrown.message }))).url;
    this.#draw();
  }

  async #do(operation: string, row: Row): Promise<void> {
    try {
      await this.#call(operation, { id: row.id });
      await this.#refresh();
    } catch (thrown) {
      this.#note = (thrown as Error).message;
    }
  }

  async #restart(): Promise<void> {
    this.#note = "The daemon restarts; agents go on.";
    this.#draw();
    try {
      await stopDaemon();
      this.#other = isOther(await startDaemon());
      this.#client = null;
      await this.#refresh();
      this.#note = "The daemon runs this build now.";
    } catch (thrown) {
      this.#note = (thrown as Error).message;
    }
  }

  async #open(row: Row): Promise<void> {
    try {
      const { session, socket } = await this.#call<{ session: string; socket: string }>("session.attach", { id: row.id });
      this.#leave();
      process.stdout.write("\x1b[2J\x1b[H");
      await attach(session, socket);
    } catch (thrown) {
      this.#note = (thrown as Error).message;
    }
    this.#enter();
    await this.#refresh();
  }

  async #new(): Promise<void> {
    this.#leave();
    const ask = createInterface({ input: process.stdin, output: process.stdout });
    try {
      const { projects } = await this.#call<{ projects: string[] }>("project.list");
      const project =
        (await ask.question(`Project${projects.length > 0 ? ` (${projects.join(", ")})` : " name"}: `)).trim() || projects[0] || "";
      if (!projects.includes(project)) {
        const path = (await ask.question(`Path of the git repository for ${project}: `)).trim();
        await this.#call("project.create", { name: project, path });
      }
      const { backends } = await this.#call<{ backends: { name: string; available: boolean }[] }>("backend.list");
      const usable = backends.filter((one) => one.available).map((one) => one.name);
      const backend = (await ask.question(`Backend (${usable.join(", ")}; empty: default): `)).trim();
      const prompt = (await ask.question("Prompt: ")).trim();
      const task = await this.#call<{ id: string; name: string }>("task.create", {
        project,
        prompt,
        ...(backend && { backend }),
        cols: process.stdout.columns,
        rows: process.stdout.rows,
      });
      this.#note = `Task ${task.id} is at work.`;
    } catch (thrown) {
      this.#note = (thrown as Error).message;
    } finally {
      ask.close();
    }
    this.#enter();
    await this.#refresh();
  }
}

function look(row: Row): [string, number, string] {
  const known = row.status === "in_progress" ? LOOK[row.state?.value ?? "working"] : LOOK[row.status];
  return known ?? (LOOK.idle as [string, number, string]);
}

/** What needs a person first, then what works, then the rest. */
function rank(row: Row): number {
  const order = ["needs you", "idle", "unverifiable", "working", "starting", "paused", "in review", "pending", "done"];
  return order.indexOf(look(row)[2]);
}

function fit(text: string, width: number): string {
  const characters = [...text.replace(/\s+/g, " ")];
  return characters.length > width ? `${characters.slice(0, Math.max(0, width - 1)).join("")}…` : characters.join("").padEnd(width);
}

/** Cuts after `columns` visible characters, keeping colour codes whole. */
function cut(line: string, columns: number): string {
  let seen = 0;
  let out = "";
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colour codes
  for (const part of line.split(/(\x1b\[[\d;]*m)/)) {
    if (part.startsWith("\x1b[")) out += part;
    else
      for (const character of part) {
        if (seen >= columns) break;
        out += character;
        seen++;
      }
  }
  return out;
}
