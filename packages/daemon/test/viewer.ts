/** A viewer of a session for tests: collects what a stream brings, over the gate or over REST, and waits for facts in it. */
import assert from "node:assert/strict";
import { type Host, OWNER } from "../src/host.ts";

type Item =
  | { kind: "snapshot" | "bytes"; offset: number; base64: string; cols?: number; rows?: number }
  | { kind: "size"; cols: number; rows: number }
  | { kind: "clipboard"; text: string | null }
  | { kind: "exit"; pending_restart: boolean };

export class Viewer implements AsyncDisposable {
  readonly items: Item[] = [];
  ended = false;
  #stop: AbortController;
  #done: Promise<void>;
  #wakes: (() => void)[] = [];

  constructor(items: AsyncIterable<Item>, stop: AbortController) {
    this.#stop = stop;
    this.#done = this.#read(items);
  }

  async #read(items: AsyncIterable<Item>): Promise<void> {
    try {
      for await (const item of items) {
        this.items.push(item);
        for (const wake of this.#wakes.splice(0)) wake();
      }
    } catch (thrown) {
      if (!this.#stop.signal.aborted) throw thrown;
    } finally {
      this.ended = true;
      for (const wake of this.#wakes.splice(0)) wake();
    }
  }

  /** Everything after the first snapshot, or from the first byte of a continued stream. */
  bytes(): Buffer {
    return Buffer.concat(this.items.flatMap((item) => (item.kind === "bytes" ? [Buffer.from(item.base64, "base64")] : [])));
  }

  /** The bytes received after an offset. */
  after(offset: number): Buffer {
    const all = this.bytes();
    return all.subarray(Math.max(0, all.length - (this.at() - offset)));
  }

  text(): string {
    return Buffer.concat(
      this.items.flatMap((item) => (item.kind === "bytes" || item.kind === "snapshot" ? [Buffer.from(item.base64, "base64")] : [])),
    ).toString("latin1");
  }

  snapshots(): { offset: number; text: string; cols: number | undefined; rows: number | undefined }[] {
    return this.items.flatMap((item) =>
      item.kind === "snapshot"
        ? [{ offset: item.offset, text: Buffer.from(item.base64, "base64").toString("latin1"), cols: item.cols, rows: item.rows }]
        : [],
    );
  }

  /** Offset after the newest byte received. */
  at(): number {
    for (const item of this.items.toReversed()) if (item.kind === "bytes" || item.kind === "snapshot") return item.offset;
    return 0;
  }

  /** What was said to be staged, in order. */
  staged(): (string | null)[] {
    return this.items.flatMap((item) => (item.kind === "clipboard" ? [item.text] : []));
  }

  exit(): { pending_restart: boolean } | undefined {
    const last = this.items.at(-1);
    return last?.kind === "exit" ? { pending_restart: last.pending_restart } : undefined;
  }

  /** Resolves when the condition holds; looks after each item. */
  async until(condition: (viewer: Viewer) => boolean, what: string): Promise<void> {
    const limit = AbortSignal.timeout(30_000);
    while (!condition(this)) {
      if (limit.aborted) assert.fail(`waited 30 s for ${what}; last seen: ${JSON.stringify(this.text().slice(-300))}`);
      if (this.ended) assert.fail(`the stream ended before ${what}; last seen: ${JSON.stringify(this.text().slice(-300))}`);
      await new Promise<void>((resolve) => {
        this.#wakes.push(resolve);
        limit.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }

  done(): Promise<void> {
    return this.#done;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#done.catch(() => {});
  }
}

/** Over the gate. */
export async function view(host: Host, id: string, input: { since?: number; viewer?: string } = {}): Promise<Viewer> {
  const stop = new AbortController();
  const items = await host.system.gate.open("session.stream", { id, ...input }, { caller: OWNER, signal: stop.signal });
  return new Viewer(items as AsyncIterable<Item>, stop);
}

/** Over REST, as server-sent events. */
export async function viewRest(
  host: Host,
  id: string,
  query = "",
  headers: Record<string, string> = {},
): Promise<Viewer & { first: Response }> {
  const stop = new AbortController();
  const response = await fetch(new URL(`/api/tasks/${id}/stream${query}`, host.url()), {
    headers: { authorization: `Bearer ${host.token}`, ...headers },
    signal: stop.signal,
  });
  assert.equal(response.status, 200, await (response.ok ? "" : response.text()));
  return Object.assign(new Viewer(sse(response.body as ReadableStream<Uint8Array>), stop), { first: response });
}

async function* sse(body: ReadableStream<Uint8Array>): AsyncGenerator<Item> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const part of body) {
    text += decoder.decode(part, { stream: true });
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const fields = new Map<string, string>();
      for (const line of text.slice(0, end).split("\n")) {
        const colon = line.indexOf(":");
        if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).trim());
      }
      text = text.slice(end + 2);
      const data = fields.get("data");
      if (data === undefined) continue;
      if (fields.get("event") === "exit") yield { kind: "exit", pending_restart: JSON.parse(data).pending_restart === true };
      else if (fields.get("event") === "size") yield { kind: "size", ...JSON.parse(data) };
      else if (fields.get("event") === "clipboard") yield { kind: "clipboard", text: JSON.parse(data).text };
      else yield { kind: "bytes", offset: Number(fields.get("id")), base64: data };
    }
  }
}

/** Starts a task of a fixture agent in the demo project. */
export async function start(host: Host, agent: string, input: Record<string, unknown> = {}): Promise<string> {
  const { id } = await host.call<{ id: string }>("task.create", {
    project: "demo",
    prompt: "",
    name: agent,
    backend: `fixture-${agent}`,
    ...input,
  });
  return id;
}

/** The live session as the supervisor lists it. */
export async function sessionOf(host: Host, id: string) {
  const found = (await host.system.services.node.sessions.list()).find((session) => session.id.split(".")[0] === id && !session.exit);
  return found ?? assert.fail(`task ${id} has no live session`);
}
