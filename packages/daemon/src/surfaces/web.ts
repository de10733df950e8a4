/** The web page's files. They need no token: the shell cannot carry one, and it holds no data. */
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { Hono } from "hono";

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".json": "application/json",
  ".webmanifest": "application/manifest+json",
  ".woff2": "font/woff2",
  ".wasm": "application/wasm",
  ".map": "application/json",
};
const POLICY =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self'; worker-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

const DIST = fileURLToPath(new URL("../../../web/dist", import.meta.url));

const NOT_BUILT = `<!doctype html><meta charset="utf-8"><title>Argus</title><p>The page has not been built yet. Run <code>npm start</code>, or <code>npm run web</code>, and reload.</p>`;

export function serveWeb(app: Hono): void {
  app.get("*", (c) => {
    const wanted = decoded(new URL(c.req.url).pathname);
    if (wanted === null) return new Response("Not found", { status: 404, headers: { "content-type": "text/plain" } });
    const file = path.join(DIST, path.normalize(wanted));
    const inside = file.startsWith(DIST + path.sep);
    const hashed = wanted.startsWith("/assets/");
    if (inside && fs.existsSync(file) && fs.statSync(file).isFile())
      return send(file, hashed ? "public, max-age=31536000, immutable" : "no-store");
    if (hashed || path.extname(wanted) !== "") return new Response("Not found", { status: 404, headers: { "content-type": "text/plain" } });
    const index = path.join(DIST, "index.html");
    if (!fs.existsSync(index))
      return new Response(NOT_BUILT, { status: 503, headers: { "content-type": "text/html; charset=utf-8", "cache-control": "no-store" } });
    return send(index, "no-store");
  });
}

/** A path as text, or null when its escapes make none. */
function decoded(path: string): string | null {
  try {
    return decodeURIComponent(path);
  } catch {
    return null;
  }
}

function send(file: string, caching: string): Response {
  return new Response(fs.readFileSync(file), {
    headers: {
      "content-type": TYPES[path.extname(file)] ?? "application/octet-stream",
      "cache-control": caching,
      "content-security-policy": POLICY,
    },
  });
}
