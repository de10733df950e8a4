/** Server-sent events over a response body: one event per item, a comment every 30 s, and an end when either side goes. */

const KEEPALIVE_MS = 30_000; // REST-38

export interface SseEvent {
  id?: string;
  event?: string;
  data: string;
}

/** The `abort` given is called when the reader is gone; the response ends when `items` end. */
export function sseResponse(
  items: AsyncIterable<unknown>,
  render: (item: unknown) => SseEvent,
  controller: AbortController,
  headers: Record<string, string>,
): Response {
  const encoder = new TextEncoder();
  const iterator = items[Symbol.asyncIterator]();
  let keepalive: NodeJS.Timeout;
  const body = new ReadableStream<Uint8Array>(
    {
      start(stream) {
        stream.enqueue(encoder.encode(": connected\n\n"));
        keepalive = setInterval(() => {
          if ((stream.desiredSize ?? 0) > 0) stream.enqueue(encoder.encode(": keepalive\n\n"));
        }, KEEPALIVE_MS);
        keepalive.unref();
        controller.signal.addEventListener("abort", () => clearInterval(keepalive), { once: true });
      },
      async pull(stream) {
        try {
          const next = await iterator.next();
          if (next.done) {
            controller.abort();
            stream.close();
          } else stream.enqueue(encoder.encode(format(render(next.value))));
        } catch {
          // The failure is in the log; a reader that sees the end reconnects.
          controller.abort();
          stream.close();
        }
      },
      cancel() {
        controller.abort();
      },
    },
    { highWaterMark: 16 },
  );
  return new Response(body, {
    headers: { ...headers, "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store", "x-accel-buffering": "no" },
  });
}

function format({ id, event, data }: SseEvent): string {
  const lines = data.split("\n").map((line) => `data: ${line}\n`);
  return `${id === undefined ? "" : `id: ${id}\n`}${event === undefined ? "" : `event: ${event}\n`}${lines.join("")}\n`;
}
