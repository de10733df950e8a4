/** Starts the page: takes a login link out of the address, follows the address bar, and draws. */
import "./styles/base.css";
import "./styles/controls.css"; // before the screens, which adapt them
import "./styles/shell.css";
import "./styles/tasks.css";
import "./styles/detail.css";
import { render } from "preact";
import { takeLoginLink } from "./login/login.ts";
import { parseRoute, route } from "./route.ts";
import { App } from "./shell.tsx";
import { startClock } from "./ui/time.ts";

takeLoginLink();
route.value = parseRoute(location.hash);
const follow = () => {
  if (takeLoginLink()) route.value = { page: "agents" };
  else route.value = parseRoute(location.hash);
};
addEventListener("hashchange", follow);
addEventListener("popstate", follow);
startClock();

// iOS neither shrinks the page for its keyboard nor says so in CSS; the visible height is told to the style sheet.
const viewport = window.visualViewport;
const fitKeyboard = () => {
  if (!viewport) return;
  document.documentElement.style.setProperty("--visible-height", `${Math.round(viewport.height)}px`);
  if (viewport.offsetTop > 0) window.scrollTo(0, 0);
};
viewport?.addEventListener("resize", fitKeyboard);
fitKeyboard();

// Browsers have no workers on plain http beyond loopback; the page works without.
navigator.serviceWorker?.register("/worker.js").catch(() => {});

const root = document.getElementById("app");
if (root) render(<App />, root);
