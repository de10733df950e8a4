/** A live terminal that types: binds the emulator to the task's byte stream, its input and its size. */
import type { Task } from "@argus/protocol";
import { ArgusError } from "@argus/protocol";
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ask, isUnreachable, send, sentence } from "../api/request.ts";
import { isWebLink, startTask } from "../tasks/actions.tsx";
import { viewOf } from "../tasks/states.ts";
import { onEvent } from "../tasks/store.ts";
import { tell } from "../ui/toast.tsx";
import { Attachment } from "./attach.ts";
import { ComposeBar, KeyBar } from "./compose.tsx";
import { InputQueue, type Outcome } from "./input-queue.ts";
import { type BarKey, bytesOfKey, composeText } from "./keys.ts";
import type { Screen, Size } from "./screen.ts";

const RESIZE_WAIT_MS = 150; // rotation and keyboards move in steps; the agent should redraw once
const HIDDEN_DETACH_MS = 3_000; // a pocketed phone must not hold the desk's terminal small; switching tabs quickly costs nothing
const NOTE_ROWS = 4; // what a line of 44 px covers at the smallest type
const HISTORY_BYTES = 262_144; // of an ended session; more is under the task's log

const NOT_RUN = "This task has not run yet.";

/** Everything one open terminal owns, outside the component so that effects stay short. */
class TerminalSession {
  readonly attachment: Attachment;
  readonly input: InputQueue;
  /** Set when another viewer keeps the terminal smaller than this one could show. */
  readonly squeezed = signal<Size | null>(null);
  readonly failure = signal<string | null>(null);
  screen: Screen | null = null;
  readonly #path: string;
  readonly #started: boolean;
  #sent: Size | null = null;
  /** The session has heard this viewer's size: a smaller one is somebody else's wish from now on. */
  #told = false;
  #resizing: ReturnType<typeof setTimeout> | undefined;

  constructor(task: Task) {
    this.#path = `/api/tasks/${encodeURIComponent(task.id)}`;
    this.#started = Boolean(task.started_at || task.last_run);
    this.attachment = new Attachment(task.id, {
      onBytes: (bytes) => this.screen?.write(bytes),
      onOpen: () => {
        this.#sent = null; // a new connection is a new viewer to the session
        this.#told = false;
        void this.#tellSize();
      },
      onSize: (cols, rows) => this.#apply({ cols, rows }),
    });
    this.input = new InputQueue({ send: (bytes, key) => this.#send(bytes, key) });
  }

  async #send(bytes: Uint8Array, key: string): Promise<Outcome> {
    try {
      await send("POST", `${this.#path}/input`, { bytes, headers: { "idempotency-key": key } });
      return "sent";
    } catch (error) {
      if (isUnreachable(error)) return "retry";
      if (error instanceof ArgusError && error.code === "UNAVAILABLE") return "retry";
      if (!(error instanceof ArgusError && error.code === "AUTH_REQUIRED")) tell(`Not typed: ${sentence(error)}`, "error");
      return "refused";
    }
  }

  fit(): void {
    clearTimeout(this.#resizing);
    this.#resizing = setTimeout(() => void this.#tellSize(), RESIZE_WAIT_MS);
  }

  async #tellSize(): Promise<void> {
    const wanted = this.screen?.wanted();
    if (!wanted) return;
    if (this.attachment.link.value !== "live") return this.screen?.resize(wanted);
    if (this.#sent && this.#sent.cols === wanted.cols && this.#sent.rows === wanted.rows) return;
    this.#sent = wanted;
    try {
      const size = await ask<Size>("POST", `${this.#path}/resize?viewer=${this.attachment.viewer}`, { json: wanted });
      this.#told = true;
      this.#apply(size);
    } catch {
      this.#sent = null; // told again with the next connection
    }
  }

  #apply(size: Size): void {
    const wanted = this.screen?.wanted();
    this.screen?.resize(size);
    // The note takes rows from the terminal: a few rows' difference must not make it come and go.
    const spare = this.squeezed.value ? 0 : NOTE_ROWS;
    const smaller = this.#told && wanted && (size.cols < wanted.cols || size.rows + spare < wanted.rows);
    this.squeezed.value = smaller ? size : null;
  }

  /** Draws what is left of a session that ended. */
  async showHistory(): Promise<void> {
    if (!this.#started) {
      this.failure.value = NOT_RUN;
      return;
    }
    try {
      const response = await send("GET", `${this.#path}/output?bytes=${HISTORY_BYTES}`);
      const bytes = new Uint8Array(await response.arrayBuffer());
      const total = Number(response.headers.get("x-output-total") ?? bytes.length);
      this.screen?.reset();
      // The cut may be inside a sequence or character: begin with the first whole line.
      const start = total > bytes.length ? bytes.indexOf(0x0a) + 1 : 0;
      await this.screen?.write(bytes.subarray(start));
      this.failure.value = null;
    } catch (error) {
      this.failure.value = error instanceof ArgusError && error.code === "NOT_FOUND" ? NOT_RUN : sentence(error);
    }
  }

  dispose(): void {
    clearTimeout(this.#resizing);
    this.attachment.stop();
    this.input.close();
    this.screen?.dispose();
  }
}

export function TerminalPane({ task }: { task: Task }): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  const session = useMemo(() => new TerminalSession(task), [task.id]);
  const [loadError, setLoadError] = useState<string | null>(null);

  useEffect(() => {
    let gone = false;
    const attach = async () => {
      const { openScreen } = await import("./screen.ts");
      if (gone || !host.current) return;
      session.screen = await openScreen({
        host: host.current,
        label: `Terminal of ${task.name}`,
        onInput: (data) => session.attachment.link.value !== "none" && session.input.push(data),
        onFit: () => session.fit(),
        openLink: (url) => {
          if (isWebLink(url)) window.open(url, "_blank", "noopener,noreferrer");
        },
      });
      const wanted = session.screen.wanted();
      if (wanted) session.screen.resize(wanted);
      if (viewOf(task).live) session.attachment.start();
      else session.attachment.link.value = "none";
      if (matchMedia("(pointer: fine)").matches) session.screen.focus();
    };
    attach().catch((error) => setLoadError(`The terminal could not be loaded: ${sentence(error)} Reload the page to try again.`));
    const unlisten = onEvent((event) => {
      if (event.type === "session.started" && event.task_id === task.id && session.screen) session.attachment.start({ fresh: true });
    });
    // The link leaves "none" and "ended" only through a new session; what is left of the old one is shown meanwhile.
    const unlink = session.attachment.link.subscribe((link) => {
      if (link === "none") void session.showHistory();
    });
    const unhide = detachWhileHidden(session.attachment);
    return () => {
      gone = true;
      unlisten();
      unlink();
      unhide();
      session.dispose();
    };
  }, [session]);

  // A session seen alive again through the task (the event may have come before the old stream's end).
  const alive = task.state && task.state.value !== "exited" ? `${task.state.value} ${task.state.since}` : null;
  useEffect(() => {
    if (alive && session.screen && ["none", "ended"].includes(session.attachment.link.value)) session.attachment.start({ fresh: true });
  }, [alive]);

  const press = (key: BarKey) => session.input.push(bytesOfKey(key, session.screen?.applicationCursor() ?? false));
  const submit = (text: string) => {
    // The carriage return is a key press of its own: agents take text and return in one read for a paste.
    if (text) session.input.push(composeText(text));
    session.input.push("\r", { alone: true });
  };
  const link = session.attachment.link.value;
  return (
    <div class="terminal-pane">
      <div class="terminal" ref={host} data-link={link} />
      {loadError && (
        <p class="form-error" role="alert">
          {loadError}
        </p>
      )}
      <TerminalStatus task={task} session={session} />
      <div class="touch-bars">
        <KeyBar onKey={press} disabled={link === "none" || link === "ended"} />
        <ComposeBar taskId={task.id} onSend={submit} disabled={link === "none" || link === "ended"} />
      </div>
    </div>
  );
}

/** One line below the terminal, only when there is something to say. */
function TerminalStatus({ task, session }: { task: Task; session: TerminalSession }): JSX.Element | null {
  const link = session.attachment.link.value;
  const waiting = session.input.waiting.value;
  const [busy, setBusy] = useState(false);
  if (link === "ended" || link === "none") {
    const view = viewOf(task);
    const resume = async () => {
      setBusy(true);
      await startTask(task);
      setBusy(false);
    };
    return (
      <div class="terminal-status" role="status">
        <span>{session.failure.value ?? (view.live ? "The session ended." : `${view.evidence}. This is what it last showed.`)}</span>
        <button type="button" class="button compact" disabled={busy} onClick={resume}>
          {busy ? "Starting" : task.status === "complete" ? "Restart agent" : "Resume agent"}
        </button>
      </div>
    );
  }
  const parts = [
    link === "lost" && "Connection lost, trying again. The agent keeps running.",
    session.input.stuck.value && waiting > 0 && `${waiting} ${waiting === 1 ? "byte" : "bytes"} typed and not sent yet.`,
    session.squeezed.value && `${session.squeezed.value.cols} by ${session.squeezed.value.rows}: kept this small by another viewer.`,
  ].filter(Boolean);
  if (parts.length === 0) return null;
  return (
    <div class="terminal-status" role="status">
      <span>{parts.join(" ")}</span>
    </div>
  );
}

function detachWhileHidden(attachment: Attachment): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const changed = () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(() => attachment.stop(), HIDDEN_DETACH_MS);
    else if (!["none", "ended"].includes(attachment.link.value)) attachment.start();
  };
  document.addEventListener("visibilitychange", changed);
  return () => {
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", changed);
  };
}
