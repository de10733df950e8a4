/** OpenAPI 3.1, printed from the same definitions that serve the routes (REST-14). */
import { ERRORS } from "@argus/protocol";
import { z } from "zod";
import type { AnyOperation } from "../kernel/operation.ts";
import type { Registry } from "../kernel/registry.ts";

type Json = Record<string, unknown>;

export function openApi(registry: Registry): Json {
  const paths: Record<string, Json> = ownRoutes();
  for (const operation of registry.all())
    for (const route of Object.keys(operation.rest ?? {})) {
      const [method, path] = route.split(" ") as [string, string];
      paths[path] = { ...paths[path], [method.toLowerCase()]: describe(registry, operation, method, path) };
    }
  return {
    openapi: "3.1.0",
    info: { title: "Argus", version: "1", description: "Errors are {error, code}; see components." },
    servers: [{ url: "/" }],
    security: [{ bearer: [] }, { query: [] }],
    paths,
    components: {
      securitySchemes: { bearer: { type: "http", scheme: "bearer" }, query: { type: "apiKey", in: "query", name: "token" } },
      schemas: {
        Error: {
          type: "object",
          required: ["error", "code"],
          properties: { error: { type: "string" }, code: { enum: Object.keys(ERRORS) } },
        },
      },
    },
  };
}

/** What the surface answers by itself. */
function ownRoutes(): Record<string, Json> {
  const json = (description: string) => ({ "200": { description, content: { "application/json": {} } } });
  const body = (schema: Json) => ({ required: true, content: { "application/json": { schema } } });
  return {
    "/api/openapi.json": { get: { operationId: "openapi", summary: "This description", responses: json("OpenAPI 3.1") } },
    "/api/operations": {
      get: { operationId: "operations", summary: "List every operation with its schema", responses: json("Operations") },
    },
    "/api/call/{operation}": {
      post: {
        operationId: "call",
        summary: "Run any operation by its name; the body is its input",
        parameters: [{ name: "operation", in: "path", required: true, schema: { type: "string" } }],
        requestBody: body({ type: "object" }),
        responses: json("The operation's reply"),
      },
    },
    "/api/login": {
      post: {
        operationId: "login",
        summary: "Turn the code of a login link into a token, once",
        security: [],
        requestBody: body({
          type: "object",
          required: ["code"],
          properties: { code: { type: "string" }, label: { type: "string", maxLength: 100 } },
        }),
        responses: json("A device token"),
      },
    },
  };
}

function describe(registry: Registry, operation: AnyOperation, method: string, path: string): Json {
  const schema = registry.inputSchema(operation);
  const properties = (schema.properties ?? {}) as Record<string, Json>;
  const required = new Set((schema.required ?? []) as string[]);
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] as string);
  const others = Object.keys(properties).filter((name) => !inPath.includes(name));
  const parameters: Json[] = inPath.map((name) => ({ name, in: "path", required: true, schema: properties[name] ?? { type: "string" } }));
  if (method === "GET" || method === "DELETE")
    for (const name of others) parameters.push({ name, in: "query", required: required.has(name), schema: properties[name] });
  const body = method === "GET" || method === "DELETE" ? undefined : requestBody(operation, others, properties, required);
  return {
    operationId: `${operation.name}:${method}:${path}`,
    summary: operation.summary,
    ...(operation.note && { description: operation.note }),
    tags: [operation.name.split(".")[0]],
    "x-tier": operation.tier,
    parameters,
    ...(body && { requestBody: body }),
    responses: {
      [String(operation.status ?? 200)]: success(operation),
      default: { description: "Failure", content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } } },
    },
  };
}

function requestBody(operation: AnyOperation, names: string[], properties: Record<string, Json>, required: Set<string>): Json {
  if (operation.rawBody)
    return { required: true, content: { "application/octet-stream": { schema: { type: "string", format: "binary" } } } };
  const json = {
    type: "object",
    properties: Object.fromEntries(names.filter((name) => name !== "files" || !operation.files).map((name) => [name, properties[name]])),
    required: names.filter((name) => required.has(name)),
  };
  if (!operation.files) return { content: { "application/json": { schema: json } } };
  return {
    content: {
      "application/json": { schema: json },
      "multipart/form-data": {
        schema: { ...json, properties: { ...json.properties, files: { type: "array", items: { type: "string", format: "binary" } } } },
      },
    },
  };
}

function success(operation: AnyOperation): Json {
  if (operation.stream) return { description: "Events", content: { "text/event-stream": {} } };
  if (operation.present) return { description: "Text", content: { "text/plain": {} } };
  return {
    description: operation.summary,
    content: { "application/json": { schema: z.toJSONSchema(operation.output, { unrepresentable: "any" }) } },
  };
}
