/** `argus attach <id>`: an agent's terminal in this one, straight from the supervisor, so that typing goes on while the daemon restarts. */
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { connectSupervisor, type SupervisorClient } from "@argus/supervisor/client";
import { connect } from "./connection.ts";
import { UsageError } from "./flags.ts";
import type { Globals } from "./globals.ts";

const DETACH = 0x11; // Ctrl-Q
const RETRY_MS = 100;
const RETRIES = 50;
/** Leave alternate screen, mouse, paste and key modes an agent may have left on, show the cursor. */
const RESTORE = "\x1b[?1049l\x1b[?1000;1002;1003;1006;2004;1004l\x1b[<u\x1b[?25h\x1b[0m\r\n";
// biome-ignore lint/suspicious/noControlCharactersInRegex: terminal replies are made of them
const REPLIES = /\x1b\[\??[\d;]*[cnR]|\x1b\[\?[\d;]*\$y|\x1b\]1[0-2];[^\x07\x1b]*(?:\x07|\x1b\\)|\x1bP[^\x1b]*\x1b\\/g;

export async function run(args: string[], globals: Globals): Promise<number> {
  const [id] = args;
  if (!id) throw new UsageError("argus attach needs a task id: argus attach <id>. `argus task list` shows them.");
  if (globals.remote) throw new UsageError("attach works on this machine; over --remote open the web page.");
  const connection = await connect(globals);
  try {
    const { session, socket } = await connection.call<{ session: string; socket: string }>("session.attach", { id });
    return await attach(session, socket);
  } finally {
    connection.close();
  }
}

/** Resolves with an exit status when the session ends or the user leaves. */
export async function attach(session: string, socketPath: string): Promise<number> {
  const { stdin, stdout } = process;
  const viewer = randomUUID();
  const left = Promise.withResolvers<number>();
  let client: SupervisorClient | null = null;
  let next: number | undefined;
  const tty = stdin.isTTY && stdout.isTTY;

  const type = (chunk: Buffer) => {
    const at = tty ? chunk.indexOf(DETACH) : -1;
    const typed = withoutReplies(at < 0 ? chunk : chunk.subarray(0, at));
    if (typed.length > 0) client?.input(session, typed).catch(() => {});
    if (at >= 0) left.resolve(0);
  };
  const resize = () => void client?.resize(session, stdout.columns || 80, stdout.rows || 24, viewer).catch(() => {});
  const watch = async () => {
    const connected = await connectSupervisor(socketPath);
    await connected.watch(
      session,
      {
        onSnapshot: (snapshot) => {
          next = snapshot.offset;
          stdout.write(snapshot.data);
        },
        onOutput: (offset, bytes) => {
          next = offset + bytes.length;
          // Not acknowledged before this terminal took them: a slow one is dropped to a snapshot, and delays nobody.
          if (!stdout.write(bytes)) return new Promise<void>((resolve) => stdout.once("drain", resolve));
        },
        onExit: (exit) => left.resolve(exit.code ?? 1),
      },
      { viewer, ...(next !== undefined && { since: next }) },
    );
    client = connected;
    if (tty) resize();
    void connected.closed.then(() => again());
  };
  /** The supervisor replaced its program image, or is gone. */
  const again = async () => {
    for (let tries = 0; tries < RETRIES; tries++) {
      await pause(RETRY_MS);
      try {
        await watch();
        return;
      } catch {}
    }
    left.resolve(5);
  };

  if (tty) stdin.setRawMode(true);
  stdin.on("data", type);
  stdout.on("resize", resize);
  try {
    await watch();
    return await left.promise;
  } finally {
    stdin.off("data", type);
    stdout.off("resize", resize);
    stdin.pause();
    if (tty) {
      stdin.setRawMode(false);
      stdout.write(RESTORE);
    }
    (client as SupervisorClient | null)?.close();
  }
}

/** The supervisor's terminal answers an agent's questions; a second answer from here would be typed into the prompt. */
function withoutReplies(chunk: Buffer): Buffer {
  if (!chunk.includes(0x1b)) return chunk;
  const text = chunk.toString("latin1");
  const clean = text.replace(REPLIES, "");
  return clean.length === text.length ? chunk : Buffer.from(clean, "latin1");
}
