/** Answers the eight verbs: keeps the sessions, the connections and who watches what. */

import type { Socket } from "node:net";
import { constants as system } from "node:os";
import { Connection, type Reply } from "./connection.ts";
import { SupervisorError } from "./errors.ts";
import { encodeFrame, type Frame, PROTOCOL, VERB } from "./frames.ts";
import { ModelThread } from "./model.ts";
import { processFact } from "./processes.ts";
import { optionalText, optionalWhole, spawnRequest, text, whole } from "./requests.ts";
import { Session, type SessionOptions, type SessionState } from "./session.ts";
import { SIZE_LIMIT } from "./sizes.ts";
import { KILL_AFTER_MS, Sweeper } from "./sweep.ts";
import { SCROLLBACK_LINES } from "./terminal.ts";

export interface SupervisorOptions {
  build: string;
  /** Unix milliseconds. */
  startedAt: number;
  sessionsFile: string;
  report(message: string): void;
  /** A client asks for the end. Rejects when a handover was asked for and cannot be done. */
  onShutdown(handover: boolean): Promise<void>;
}

export class Supervisor {
  readonly sessions = new Map<string, Session>();
  readonly sweeper: Sweeper;
  #options: SupervisorOptions;
  #thread: ModelThread;
  #connections = new Set<Connection>();
  #lastConnection = 0;
  #kills = new Map<string, NodeJS.Timeout>();
  /** While true nothing new is begun: the program is about to end or to be replaced. */
  frozen = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#thread = new ModelThread(options.report);
    this.sweeper = new Sweeper(options.sessionsFile, options.report);
  }

  accept(socket: Socket): void {
    const connection: Connection = new Connection(
      ++this.#lastConnection,
      socket,
      (frame) => this.#handle(connection, frame),
      () => this.#lost(connection),
    );
    this.#connections.add(connection);
  }

  /** Goes on with a session of the previous program image. */
  adopt(taken: { state: SessionState; ring: Buffer; redraw: Buffer }): void {
    const session = new Session(taken.state.request, this.#sessionOptions(), taken);
    this.sessions.set(session.id, session);
    if (session.killAt !== null) this.#killAfter(session, session.killAt - Date.now());
  }

  /** Hangs up every agent and waits until nothing is left of them, at most `KILL_AFTER_MS` plus the time SIGKILL takes. */
  async hangUp(): Promise<void> {
    this.frozen = true;
    const living = [...this.sessions.values()].filter((session) => session.alive);
    for (const session of living) {
      session.stopped = true;
      this.sweeper.signal(session.pid, "SIGHUP");
      this.sweeper.signal(session.pid, "SIGCONT");
    }
    await Promise.all(living.map((session) => this.sweeper.sweep(session.id, KILL_AFTER_MS)));
    await Promise.all([...this.sessions.values()].map((session) => session.close()));
  }

  /** Lets the last replies arrive and cuts everybody off. */
  async disconnect(): Promise<void> {
    await Promise.all([...this.#connections].map((connection) => connection.end()));
    await this.#thread.close();
  }

  #sessionOptions(): SessionOptions {
    return {
      thread: this.#thread,
      report: this.#options.report,
      onExit: (session) => {
        const notice = encodeFrame(VERB.EXIT, 0, { id: session.id, exit: session.exit });
        for (const connection of this.#connections) if (connection.greeted) connection.send(notice);
      },
      onGone: (session) => {
        clearTimeout(this.#kills.get(session.id));
        this.#kills.delete(session.id);
        void this.sweeper.sweep(session.id, KILL_AFTER_MS);
      },
    };
  }

  #handle(connection: Connection, frame: Frame): Reply | Promise<Reply | null> | null {
    const { verb, header, body } = frame;
    if (!connection.greeted && verb !== VERB.HELLO) throw new SupervisorError("INVALID_INPUT", "A connection begins with HELLO.");
    switch (verb) {
      case VERB.HELLO:
        return this.#hello(connection, header);
      case VERB.SPAWN:
        return this.#spawn(header);
      case VERB.INPUT:
        this.#session(header).input(Buffer.from(body));
        return { header: {} };
      case VERB.RESIZE:
        return this.#resize(connection, header);
      case VERB.SIGNAL:
        return header.shutdown === true ? this.#shutdown(header) : this.#signal(header);
      case VERB.SNAPSHOT:
        return header.watch === undefined ? this.#snapshot(header) : this.#watch(connection, frame);
      case VERB.LIST:
        return { header: { sessions: [...this.sessions.values()].map((session) => session.info()) } };
      case VERB.ACK:
        return header.collect === true ? this.#collect(header) : this.#acknowledge(connection, header);
      default:
        throw new SupervisorError(
          "METHOD_NOT_FOUND",
          `Verb ${verb} is not known to protocol ${PROTOCOL}. Ask for less, or update the supervisor.`,
        );
    }
  }

  #hello(connection: Connection, header: Record<string, unknown>): Reply {
    const protocol = Math.min(whole(header, "protocol", 1, 65_535), PROTOCOL);
    connection.greeted = true;
    return { header: { protocol, build: this.#options.build, pid: process.pid, startedAt: this.#options.startedAt } };
  }

  #spawn(header: Record<string, unknown>): Reply {
    if (this.frozen) throw new SupervisorError("UNAVAILABLE", "The supervisor is ending or being replaced. Connect again in a moment.");
    const request = spawnRequest(header);
    const present = this.sessions.get(request.id);
    if (present) {
      const state = present.exit ? "has ended and was not collected" : "is alive";
      throw new SupervisorError("CONFLICT", `Session ${request.id} exists and ${state}. Collect or end it first, or use another id.`);
    }
    const session = new Session(request, this.#sessionOptions());
    this.sessions.set(request.id, session);
    this.sweeper.add(request.id, session.pid, request.mark ?? null);
    return { header: { pid: session.pid, started: processFact(session.pid)?.started ?? null } };
  }

  #resize(connection: Connection, header: Record<string, unknown>): Reply {
    const session = this.#session(header);
    const cols = whole(header, "cols", 0, SIZE_LIMIT);
    const rows = whole(header, "rows", 0, SIZE_LIMIT);
    const key = `${connection.number} ${optionalText(header, "viewer") ?? ""}`;
    // Zero is what a face without a layout sends; it then has no say.
    if (!cols || !rows) session.sizes.forget(key);
    else session.sizes.want(key, { cols, rows }, this.#watching(connection, session));
    session.applySize();
    return { header: { ...session.sizes.inForce } };
  }

  #signal(header: Record<string, unknown>): Reply {
    const session = this.#session(header);
    const signal = text(header, "signal") as NodeJS.Signals;
    if (!(signal in system.signals))
      throw new SupervisorError("INVALID_INPUT", `${signal} is no signal of this system. Use a name such as SIGTERM.`);
    const killAfterMs = optionalWhole(header, "killAfterMs", 0, 3_600_000);
    if (!session.alive) return { header: {} };
    if (["SIGTERM", "SIGKILL", "SIGHUP", "SIGINT", "SIGQUIT"].includes(signal)) session.stopped = true;
    this.sweeper.signal(session.pid, signal);
    if (killAfterMs !== undefined) this.#killAfter(session, killAfterMs);
    return { header: {} };
  }

  /** Kept here and not at the client: it may be gone by then. */
  #killAfter(session: Session, ms: number): void {
    session.killAt = Date.now() + ms;
    clearTimeout(this.#kills.get(session.id));
    const kill = () => void this.sweeper.sweep(session.id, 0);
    this.#kills.set(session.id, setTimeout(kill, Math.max(0, ms)));
  }

  async #snapshot(header: Record<string, unknown>): Promise<Reply> {
    const { data, ...rest } = await this.#session(header).snapshot(optionalWhole(header, "scrollback", 0, SCROLLBACK_LINES));
    return { header: rest, body: data };
  }

  #watch(connection: Connection, frame: Frame): null {
    const { header } = frame;
    const session = this.#session(header);
    const watch = whole(header, "watch", 1, Number.MAX_SAFE_INTEGER);
    if (connection.watches.has(watch))
      throw new SupervisorError("CONFLICT", `Watch ${watch} exists on this connection. Use another number.`);
    const since = optionalWhole(header, "since", 0, Number.MAX_SAFE_INTEGER) ?? null;
    const scrollback = optionalWhole(header, "scrollback", 0, SCROLLBACK_LINES);
    const name = optionalText(header, "viewer") ?? "";
    // The reply goes first, so that the client knows the watch before its first bytes.
    connection.send(encodeFrame(VERB.SNAPSHOT, frame.request, { watch, ...session.sizes.inForce }));
    const viewer = session.watch({ watch, name, outlet: connection, since, scrollback });
    connection.watches.set(watch, { session, viewer });
    return null;
  }

  #acknowledge(connection: Connection, header: Record<string, unknown>): Reply {
    const number = whole(header, "watch", 1, Number.MAX_SAFE_INTEGER);
    const watch = connection.watches.get(number);
    // A watch that was closed a moment ago may still be acknowledged.
    if (!watch) return { header: {} };
    if (header.close === true) this.#unwatch(connection, number);
    else {
      watch.viewer.acknowledge(
        whole(header, "generation", 0, Number.MAX_SAFE_INTEGER),
        whole(header, "offset", 0, Number.MAX_SAFE_INTEGER),
      );
      watch.session.acknowledged();
    }
    return { header: {} };
  }

  async #collect(header: Record<string, unknown>): Promise<Reply> {
    const session = this.#session(header);
    if (!session.exit) throw new SupervisorError("CONFLICT", `Session ${session.id} is alive. It can be collected after its exit.`);
    this.sessions.delete(session.id);
    for (const connection of this.#connections) {
      for (const [number, watch] of connection.watches) if (watch.session === session) connection.watches.delete(number);
    }
    await session.close();
    return { header: {} };
  }

  async #shutdown(header: Record<string, unknown>): Promise<Reply> {
    await this.#options.onShutdown(header.handover === true);
    return { header: {} };
  }

  #session(header: Record<string, unknown>): Session {
    const id = text(header, "id");
    const session = this.sessions.get(id);
    if (session) return session;
    throw new SupervisorError(
      "NOT_FOUND",
      `No session ${id}. It never started here, or its exit was collected; LIST names those there are.`,
    );
  }

  #watching(connection: Connection, session: Session): boolean {
    return [...connection.watches.values()].some((watch) => watch.session === session);
  }

  /** A viewer leaves; sizes it stood for leave with it. */
  #unwatch(connection: Connection, number: number): void {
    const watch = connection.watches.get(number);
    if (!watch) return;
    const { session, viewer } = watch;
    connection.watches.delete(number);
    session.unwatch(viewer);
    const rest = [...connection.watches.values()].filter((other) => other.session === session);
    if (!rest.length) session.sizes.forgetAll(`${connection.number} `);
    else if (!rest.some((other) => other.viewer.name === viewer.name)) session.sizes.forget(`${connection.number} ${viewer.name}`);
    session.applySize();
  }

  #lost(connection: Connection): void {
    this.#connections.delete(connection);
    for (const number of [...connection.watches.keys()]) this.#unwatch(connection, number);
  }
}
