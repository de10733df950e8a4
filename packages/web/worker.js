/** Keeps the page itself at hand when the daemon is away. Data is never kept: what it shows always comes from the daemon. */
// Filled in by build.ts.
const CACHE = "argus-__BUILD__";
const FILES = ["__FILES__"];

addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(CACHE)
      .then((cache) => cache.addAll(FILES))
      .then(() => skipWaiting()),
  );
});

addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name))))
      .then(() => clients.claim()),
  );
});

addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== location.origin || url.pathname.startsWith("/api/")) return;
  // The page comes from the daemon when it answers, so that a new build is taken over with one reload.
  if (event.request.mode === "navigate")
    event.respondWith(fetch(event.request).catch(async () => (await caches.match("/")) ?? Response.error()));
  // Names of assets carry their content: what is kept is what would come.
  else if (FILES.includes(url.pathname)) event.respondWith(caches.match(url.pathname).then((kept) => kept ?? fetch(event.request)));
});
