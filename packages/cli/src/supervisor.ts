/** `argus session-supervisor start|stop|status|upgrade`. */
import path from "node:path";
import { createInterface } from "node:readline/promises";
import { CallError } from "@argus/client/socket";
import { connectSupervisor, startSupervisor } from "@argus/supervisor/client";
import { UsageError } from "./flags.ts";
import type { Globals } from "./globals.ts";
import { argusHome } from "./home.ts";

export async function run(args: string[], globals: Globals): Promise<number> {
  const home = argusHome();
  const say = (value: object, text: string): 0 => {
    process.stdout.write(globals.json ? `${JSON.stringify(value)}\n` : `${text}\n`);
    return 0;
  };
  const socket = path.join(home, "supervisor.sock");
  switch (args[0]) {
    case "start": {
      const { client, started } = await startSupervisor({ home });
      client.close();
      const { pid } = client.hello;
      return say({ started, pid }, started ? `The supervisor is up, pid ${pid}.` : `A supervisor is running already, pid ${pid}.`);
    }
    case undefined:
    case "status": {
      const client = await connectSupervisor(socket, { timeoutMs: 2000 }).catch(() => null);
      if (!client) {
        say({ running: false }, "No supervisor is running. Start it with: argus session-supervisor start");
        return 1;
      }
      const sessions = (await client.list()).filter((session) => !session.exit).length;
      const { pid, protocol, build } = client.hello;
      client.close();
      return say(
        { running: true, pid, socket, protocol, build, sessions },
        `supervisor  running, pid ${pid}, build ${build}\nsocket      ${socket}\nprotocol    ${protocol}\nsessions    ${sessions}`,
      );
    }
    case "stop": {
      const client = await connectSupervisor(socket, { timeoutMs: 2000 }).catch(() => null);
      if (!client) return say({ stopped: false, interrupted: 0 }, "No supervisor was running.");
      const sessions = (await client.list()).filter((session) => !session.exit).length;
      if (sessions > 0 && process.stdin.isTTY && !args.includes("--yes") && !(await confirmed(sessions))) {
        client.close();
        return say({ stopped: false, interrupted: 0 }, "Nothing was stopped.");
      }
      await client.shutdown();
      await client.closed;
      return say(
        { stopped: true, interrupted: sessions },
        `The supervisor has stopped; ${sessions} agent${sessions === 1 ? " was" : "s were"} interrupted.`,
      );
    }
    case "upgrade": {
      const client = await connectSupervisor(socket, { timeoutMs: 2000 });
      const before = living(await client.list());
      await client.shutdown({ handover: true });
      await client.closed;
      const after = await answering(socket);
      const { build } = after.hello;
      const lost = before.length - living(await after.list()).filter((session) => before.some((one) => one.id === session.id)).length;
      after.close();
      return say(
        { upgraded: true, build, ended: lost },
        `The supervisor runs build ${build} now; ${lost === 0 ? "every agent goes on" : `${lost} agent${lost === 1 ? "" : "s"} ended meanwhile`}.`,
      );
    }
    default:
      throw new UsageError(`argus session-supervisor takes start, stop, status or upgrade, not ${JSON.stringify(args[0] ?? "")}.`);
  }
}

async function confirmed(sessions: number): Promise<boolean> {
  const ask = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await ask.question(`This interrupts ${sessions} running agent${sessions === 1 ? "" : "s"}. Stop the supervisor? [y/N] `);
  ask.close();
  return /^y(es)?$/i.test(answer.trim());
}

const living = <Session extends { exit: unknown }>(sessions: Session[]) => sessions.filter((session) => session.exit === null);

/** The new program image answers after a moment; a busy machine needs a few. */
async function answering(socket: string): ReturnType<typeof connectSupervisor> {
  for (const until = Date.now() + 15_000; ; ) {
    const client = await connectSupervisor(socket, { timeoutMs: 1000 }).catch(() => null);
    if (client) return client;
    if (Date.now() > until)
      throw new CallError({
        error: `The supervisor did not answer after its upgrade. Its log is supervisor.log in ${argusHome()}; \`argus session-supervisor start\` starts one.`,
        code: "UNAVAILABLE",
      });
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
