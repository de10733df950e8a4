/** Reads request bodies within their limits, whatever Content-Length claims. */
import { ArgusError } from "@argus/protocol";

export const MAX_JSON_BYTES = 1024 * 1024; // REST-11
export const MAX_RAW_BYTES = 65_536; // REST-36
/** 50 MB of files, and room for field texts and part headers. */
const MAX_MULTIPART_BYTES = 54 * 1024 * 1024;

/** The body, or TOO_LARGE as soon as it is known to be. */
export async function readBody(request: Request, limit: number): Promise<Uint8Array<ArrayBuffer>> {
  const tooLarge = () => new ArgusError("TOO_LARGE", `The request body holds more than ${limit} bytes. Send less, or in parts.`);
  if (Number(request.headers.get("content-length") ?? 0) > limit) throw tooLarge();
  if (!request.body) return new Uint8Array();
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of request.body as unknown as AsyncIterable<Uint8Array>) {
    size += part.length;
    if (size > limit) throw tooLarge();
    parts.push(part);
  }
  return Uint8Array.from(Buffer.concat(parts));
}

/** A JSON object; an empty body is an empty object. */
export async function readJson(request: Request): Promise<Record<string, unknown>> {
  const text = Buffer.from(await readBody(request, MAX_JSON_BYTES)).toString("utf8");
  if (text.trim() === "") return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (thrown) {
    throw new ArgusError("INVALID_INPUT", `The body is not JSON: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new ArgusError("INVALID_INPUT", "The body must be a JSON object.");
  return value as Record<string, unknown>;
}

/** Text parts as fields, file parts as `files`; parts named in `lists` become the entries of a list. */
export async function readMultipart(request: Request, lists: Set<string>): Promise<Record<string, unknown>> {
  const bytes = await readBody(request, MAX_MULTIPART_BYTES);
  let form: FormData;
  try {
    form = await new Response(bytes, { headers: { "content-type": request.headers.get("content-type") ?? "" } }).formData();
  } catch (thrown) {
    throw new ArgusError(
      "INVALID_INPUT",
      `The multipart body cannot be read: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
    );
  }
  const fields: Record<string, unknown> = {};
  const files: { name: string; base64: string }[] = [];
  for (const [name, value] of form) {
    if (typeof value === "string") fields[name] = lists.has(name) ? [...((fields[name] as string[]) ?? []), value] : value;
    else files.push({ name: value.name, base64: Buffer.from(await value.arrayBuffer()).toString("base64") });
  }
  return { ...fields, files };
}
