/** Turns verbs into length-prefixed binary frames and back, so that both ends agree on bytes and on limits. */

/**
 * A frame: `u32 length of the rest | u8 verb | u32 request | u32 header length | header (JSON object) | body bytes`, big endian.
 * A reply carries verb and request number of its request; a notice carries request 0. Unknown header fields are ignored by both sides.
 */
export interface Frame {
  verb: number;
  request: number;
  header: Record<string, unknown>;
  body: Buffer;
}

/** Numbers are for ever: a verb that is no longer used keeps its number. */
export const VERB = {
  HELLO: 1,
  SPAWN: 2,
  INPUT: 3,
  RESIZE: 4,
  SIGNAL: 5,
  SNAPSHOT: 6,
  LIST: 7,
  ACK: 8,
  OUTPUT: 16,
  EXIT: 17,
  ERROR: 18,
} as const;

/** The version this build speaks. Versions only add; both sides use the lower one. */
export const PROTOCOL = 1;

/** Bytes before the header. */
export const PREFIX_BYTES = 13;

/** Largest frame a client may send: a SPAWN with a 2 MiB environment fits, an accidental HTTP request ("GET " = 1.2 GB) does not. */
export const REQUEST_LIMIT = 4 * 1024 * 1024;

/** Largest frame a client accepts: a redraw of 3,000 colourful lines is about 3 MB. */
export const REPLY_LIMIT = 64 * 1024 * 1024;

/** The bytes cannot be a frame; the connection cannot be used further. */
export class FrameError extends Error {}

/** Everything of a frame but its body; `bodyBytes` must follow. */
export function frameHead(verb: number, request: number, header: object, bodyBytes: number): Buffer {
  const json = JSON.stringify(header);
  const jsonBytes = Buffer.byteLength(json);
  const head = Buffer.allocUnsafe(PREFIX_BYTES + jsonBytes);
  head.writeUInt32BE(PREFIX_BYTES - 4 + jsonBytes + bodyBytes, 0);
  head[4] = verb;
  head.writeUInt32BE(request, 5);
  head.writeUInt32BE(jsonBytes, 9);
  head.write(json, PREFIX_BYTES);
  return head;
}

export function encodeFrame(verb: number, request: number, header: object, body?: Uint8Array): Buffer {
  const head = frameHead(verb, request, header, body?.length ?? 0);
  return body?.length ? Buffer.concat([head, body]) : head;
}

/** Collects bytes into frames. Keeps at most one unfinished frame of at most `limit` bytes. */
export class FrameReader {
  #limit: number;
  #chunks: Buffer[] = [];
  #held = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Frames completed by this chunk, in order. Throws FrameError when the bytes cannot be a frame. */
  *push(chunk: Buffer): Generator<Frame> {
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    while (this.#held >= 4) {
      const first = this.#join(4);
      const length = first.readUInt32BE(0);
      if (length < PREFIX_BYTES - 4 || length > this.#limit) {
        throw new FrameError(`A frame of ${length} bytes was announced; between ${PREFIX_BYTES - 4} and ${this.#limit} are accepted.`);
      }
      if (this.#held < 4 + length) return;
      const whole = this.#join(4 + length);
      const frame = parse(whole.subarray(0, 4 + length));
      const rest = whole.subarray(4 + length);
      this.#chunks[0] = rest;
      if (!rest.length) this.#chunks.shift();
      this.#held -= 4 + length;
      yield frame;
    }
  }

  /** Makes the first chunk hold at least `bytes`; joins only when needed, so a large frame is copied once and not per chunk. */
  #join(bytes: number): Buffer {
    const first = this.#chunks[0] as Buffer;
    if (first.length >= bytes) return first;
    const joined = Buffer.concat(this.#chunks);
    this.#chunks = [joined];
    return joined;
  }
}

function parse(bytes: Buffer): Frame {
  const headerBytes = bytes.readUInt32BE(9);
  if (PREFIX_BYTES + headerBytes > bytes.length) throw new FrameError("The header is longer than its frame.");
  let header: unknown;
  try {
    header = headerBytes ? JSON.parse(bytes.toString("utf8", PREFIX_BYTES, PREFIX_BYTES + headerBytes)) : {};
  } catch {
    throw new FrameError("The header is not JSON.");
  }
  if (typeof header !== "object" || header === null || Array.isArray(header)) throw new FrameError("The header is not a JSON object.");
  return {
    verb: bytes[4] as number,
    request: bytes.readUInt32BE(5),
    header: header as Record<string, unknown>,
    body: bytes.subarray(PREFIX_BYTES + headerBytes),
  };
}
