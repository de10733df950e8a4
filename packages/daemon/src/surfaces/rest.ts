/** REST on port 7743: routes, bodies and replies derived from the operations. */
import { ArgusError, ERRORS, toArgusError } from "@argus/protocol";
import { Hono } from "hono";
import type { Gate } from "../kernel/call.ts";
import type { Caller } from "../kernel/caller.ts";
import type { Events } from "../kernel/events.ts";
import type { AnyOperation } from "../kernel/operation.ts";
import type { Registry } from "../kernel/registry.ts";
import { MAX_RAW_BYTES, readBody, readJson, readMultipart } from "./body.ts";
import { FailedTokens } from "./failed-tokens.ts";
import { isAllowedHost, isAllowedOrigin } from "./hosts.ts";
import { openApi } from "./openapi.ts";
import { sseResponse } from "./sse.ts";
import { serveWeb } from "./web.ts";

export interface RestParts {
  gate: Gate;
  registry: Registry;
  events: Events;
  authenticate(token: string): Promise<Caller>;
  login(code: string, label: string): Promise<{ token: string; id: string; label: string }>;
  /** Addresses we listen on. */
  bound(): string[];
  /** Entries of api.allowed_hosts. */
  allowedHosts(): string[];
  now(): number;
}

const SECURITY_HEADERS = { "x-content-type-options": "nosniff", "x-frame-options": "DENY", "referrer-policy": "no-referrer" };

/** `remote` tells the client's address, for the limit on failed tokens. */
export function restApp(parts: RestParts, remote: (env: unknown) => string): Hono {
  const app = new Hono();
  const failed = new FailedTokens(parts.now);
  app.use(async (c, next) => {
    const [bound, more] = [parts.bound(), parts.allowedHosts()];
    if (!isAllowedHost(c.req.header("host"), bound, more))
      return reply(new ArgusError("PERMISSION_DENIED", "This Host name is not served. Add it to api.allowed_hosts if it is yours."));
    if (!isAllowedOrigin(c.req.header("origin"), bound, more))
      return reply(new ArgusError("PERMISSION_DENIED", "Pages of other origins may not call Argus."));
    await next();
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) if (!c.res.headers.has(name)) c.res.headers.set(name, value);
  });
  app.onError((thrown) => reply(toArgusError(thrown)));
  app.post("/api/login", async (c) => {
    const address = remote(c.env);
    failed.check(address);
    const { code, label } = await readJson(c.req.raw);
    if (typeof code !== "string") throw new ArgusError("INVALID_INPUT", "code is required: the part of the login link behind #login=.");
    try {
      return Response.json(await parts.login(code, typeof label === "string" && label ? label.slice(0, 100) : "web"));
    } catch (thrown) {
      failed.count(address);
      throw thrown;
    }
  });

  const callers = new WeakMap<Request, Caller>();
  app.use("/api/*", async (c, next) => {
    const address = remote(c.env);
    failed.check(address);
    const token = bearer(c.req.header("authorization")) ?? c.req.query("token");
    if (!token)
      return reply(
        new ArgusError("AUTH_REQUIRED", "A token is required: send Authorization: Bearer <token>, or ?token= where headers cannot be set."),
      );
    try {
      const caller = await parts.authenticate(token);
      callers.set(c.req.raw, caller);
      await next();
      c.res.headers.set("x-argus-auth", caller.kind === "scope" ? `scope:${caller.scope}` : caller.kind);
      if (caller.tokenId) c.res.headers.set("x-argus-token-id", caller.tokenId);
    } catch (thrown) {
      const error = toArgusError(thrown);
      if (error.code === "AUTH_REQUIRED") failed.count(address);
      return reply(error);
    }
  });
  const callerOf = (request: Request) => callers.get(request) as Caller;

  // Each of these is described in openapi.ts too.
  app.get("/api/openapi.json", () => Response.json(openApi(parts.registry)));
  app.get("/api/operations", () => Response.json({ operations: parts.registry.manifest() }));
  app.post("/api/call/:operation", async (c) => {
    const operation = parts.registry.find(c.req.param("operation"));
    return answer(parts, operation, await readJson(c.req.raw), c.req.raw, callerOf(c.req.raw));
  });
  for (const operation of parts.registry.all())
    for (const [route, preset] of Object.entries(operation.rest ?? {})) {
      const [method, path] = route.split(" ") as [string, string];
      const lists = listFields(parts.registry.inputSchema(operation));
      app.on(method, path.replace(/\{(\w+)\}/g, ":$1"), async (c) => {
        const { token: _, ...query } = c.req.query();
        const body = method === "GET" ? {} : await bodyOf(operation, c.req.raw, lists);
        return answer(parts, operation, { ...query, ...body, ...c.req.param(), ...preset }, c.req.raw, callerOf(c.req.raw));
      });
    }
  app.all("/api/*", (c) =>
    reply(
      new ArgusError(
        "NOT_FOUND",
        `There is no ${c.req.method} ${new URL(c.req.url).pathname.slice(0, 200)}. GET /api/openapi.json lists every route.`,
      ),
    ),
  );
  serveWeb(app);
  return app;
}

async function bodyOf(operation: AnyOperation, request: Request, lists: Set<string>): Promise<Record<string, unknown>> {
  const type = request.headers.get("content-type") ?? "";
  if (operation.rawBody) return { [operation.rawBody]: Buffer.from(await readBody(request, MAX_RAW_BYTES)).toString("base64") };
  if (operation.files && type.startsWith("multipart/form-data")) return readMultipart(request, lists);
  const body = await readJson(request);
  // A file in JSON would dodge the limits of uploads.
  if (operation.files) body.files = [];
  for (const [from, to] of Object.entries(operation.bodyFields ?? {}))
    if (from in body) {
      body[to] = body[from];
      delete body[from];
    }
  return body;
}

async function answer(
  parts: RestParts,
  operation: AnyOperation,
  input: Record<string, unknown>,
  request: Request,
  caller: Caller,
): Promise<Response> {
  const controller = new AbortController();
  request.signal.addEventListener("abort", () => controller.abort(), { once: true });
  if (operation.stream) {
    // A browser that reconnects keeps the address it began with and adds this header, so the header is newer.
    const last = request.headers.get("last-event-id");
    if (last !== null && /^\d{1,15}$/.test(last)) input.since = last;
    const unsubscribe = parts.events.subscribe((event) => {
      if (event.type === "token.revoked" && event.payload.id === caller.tokenId) controller.abort(); // TOKEN-05
    });
    controller.signal.addEventListener("abort", unsubscribe, { once: true });
    const items = await parts.gate.open(operation.name, input, { caller, signal: controller.signal }).catch((thrown: unknown) => {
      controller.abort();
      throw thrown;
    });
    return sseResponse(items, operation.sse ?? ((item) => ({ data: JSON.stringify(item) })), controller, SECURITY_HEADERS);
  }
  const key = request.headers.get("idempotency-key") ?? undefined;
  const output = await parts.gate.call(operation.name, input, { caller, key, signal: controller.signal });
  if (operation.present) {
    const { body, type, headers, status = operation.status ?? 200 } = operation.present(output);
    if (status === 204) return new Response(null, { status });
    return new Response(body as BodyInit, {
      status,
      headers: { "content-type": type, "cache-control": "no-store", ...headers },
    });
  }
  if (operation.status === 204) return new Response(null, { status: 204 });
  return Response.json(output ?? {}, { status: operation.status ?? 200, headers: { "cache-control": "no-store" } });
}

/** Names of the fields that hold lists, which a form sends as one part per entry. */
function listFields(schema: Record<string, unknown>): Set<string> {
  const properties = Object.entries((schema.properties ?? {}) as Record<string, { type?: string }>);
  return new Set(properties.filter(([, { type }]) => type === "array").map(([name]) => name));
}

function bearer(header: string | undefined): string | undefined {
  const match = header?.match(/^Bearer\s+(\S+)\s*$/i);
  return match?.[1];
}

/** An error as every route sends it. A question that waits for a person is no failure: 202 with the id to come back for. */
export function reply(error: ArgusError): Response {
  const { http, retryable } = ERRORS[error.code];
  if (error.code === "PENDING")
    return Response.json({ pending: error.details?.pending, message: error.message }, { status: http, headers: SECURITY_HEADERS });
  const { error: message, code, details } = error.toBody();
  const cycle = details?.cycle;
  return Response.json(
    { error: message, code, ...(details && { details }), ...(cycle !== undefined && { cycle }) },
    {
      status: http,
      headers: {
        ...SECURITY_HEADERS,
        ...(error.code === "RATE_LIMITED" && { "retry-after": "60" }),
        ...(retryable && error.code === "UNAVAILABLE" && { "retry-after": "1" }),
      },
    },
  );
}
