/** `npm run screenshots`: makes the pictures of the documentation from the real program, with agents that paint what coding agents paint. */
import fs from "node:fs";
import path from "node:path";
import { ensureWeb } from "@argus/web/build";
import { type Host, startHost } from "../packages/daemon/src/host.ts";
import { Device, startBrowser } from "../tests/web/page.ts";

const OUT = path.join(import.meta.dirname, "..", "docs", "images");
const LIMIT_BYTES = 300_000; // pictures live in the repository for ever
const MINUTE_MS = 60_000;

const bold = (text: string) => `\x1b[1m${text}\x1b[22m`;
const dim = (text: string) => `\x1b[90m${text}\x1b[39m`;
const colour = (code: number, text: string) => `\x1b[${code}m${text}\x1b[39m`;
const said = (text: string) => `\n${colour(37, "●")} ${text}\n`;
const did = (tool: string, what: string, result: string) =>
  `\n${colour(32, "●")} ${bold(tool)}(${what})\n${result
    .split("\n")
    .map((line, at) => `  ${dim(at === 0 ? "⎿" : " ")} ${line}`)
    .join("\n")}\n`;

interface Scene {
  name: string;
  project: string;
  prompt: string;
  paints: string;
  /** Keeps writing, so that it works; or ends so; or waits. */
  then: "work" | "wait" | "done" | "fail";
}

const SCENES: Scene[] = [
  {
    name: "upgrade-node",
    project: "api-gateway",
    prompt: "Move the build to Node 26",
    paints: said("The build runs on Node 26."),
    then: "done",
  },
  {
    name: "changelog-for-2.4",
    project: "web-shop",
    prompt: "Write the changelog for 2.4",
    paints: said("CHANGELOG.md lists the 14 changes since 2.3."),
    then: "done",
  },
  {
    name: "flaky-payment-test",
    project: "web-shop",
    prompt: "Find out why the payment test fails one time in twenty",
    paints: said("The stub server answers before the client listens."),
    then: "fail",
  },
  {
    name: "dark-mode-tokens",
    project: "web-shop",
    prompt: "Move the colours of the checkout to tokens",
    paints: said("Done. 31 colours became 12 tokens; the contrast of each is checked."),
    then: "wait",
  },
  {
    name: "delete-old-sessions",
    project: "api-gateway",
    prompt: "Drop sessions older than 90 days",
    paints: `${did("Bash", "psql -f migrations/0042_sessions.sql --dry-run", "would delete 18,204 rows of 391,022")}
${bold("Run the migration on the staging database?")}
${colour(36, "❯ 1. Yes")}
  2. Yes, and do not ask again for this project
  3. No, tell the agent what to do differently
`,
    then: "wait",
  },
  {
    name: "openapi-examples",
    project: "api-gateway",
    prompt: "Add an example to every route",
    paints: said("Reading 42 routes."),
    then: "work",
  },
  {
    name: "fix-cart-rounding",
    project: "web-shop",
    prompt: "Totals are one cent off when a discount meets a tax. Find the cause, fix it, add a test.",
    paints: `${dim(">")} Totals are one cent off when a discount
  meets a tax. Find the cause, add a test.
${said("Each line is rounded, and the total again.\n  I begin with a test that shows it.")}${did(
  "Write",
  "test/cart.test.ts",
  `${colour(32, "+ test('a taxed cart is rounded once', () => {")}
${colour(32, "+   const cart = cartOf([19.99, 4.95, 0.35]);")}
${colour(32, "+   assert.equal(cart.total(), 25.58);")}
${colour(32, "+ });")}`,
)}${did("Bash", "npm test -- cart", `${colour(31, "✖ a taxed cart is rounded once")}\n  ${colour(31, "25.59 !== 25.58")}`)}${said(
  "It fails as reported. One rounding is enough:",
)}${did(
  "Update",
  "src/cart.ts",
  `${dim("41")} ${colour(31, "- lines.map((one) => round(tax(one)))")}
${dim("41")} ${colour(32, "+ round(sum(lines.map(tax)))")}`,
)}${did("Bash", "npm test", `${colour(32, "✔ 212 tests passed")} ${dim("in 3.1 s")}`)}\n`,
    then: "work",
  },
];

/** An agent that paints its scene from a file and goes on as told. */
async function backendOf(host: Host, scene: Scene): Promise<string> {
  const picture = path.join(host.home, `${scene.name}.txt`);
  fs.writeFileSync(picture, scene.paints.replaceAll("\n", "\r\n"));
  const after = {
    work: `s=0; while :; do s=$((s + 1)); printf '\\r\\033[33m✻\\033[39m Checking the other callers… \\033[90m(%ss)\\033[39m' $s; sleep 1; done`,
    wait: "exec sleep 1000000",
    done: "exit 0",
    fail: "exit 1",
  }[scene.then];
  const program = path.join(host.home, scene.name);
  // The size comes from the viewer a moment after the start: paint again for it, as full-screen agents do.
  const paint =
    scene.then === "done" || scene.then === "fail"
      ? `cat '${picture}'`
      : `paint() { printf '\\033[2J\\033[3J\\033[H'; cat '${picture}'; }\ntrap paint WINCH\npaint`;
  fs.writeFileSync(
    program,
    `#!/bin/sh\n${paint}\n${after.replace("exec sleep 1000000", "while :; do sleep 1000000 & wait $!; kill $! 2>/dev/null; done")}\n`,
    {
      mode: 0o755,
    },
  );
  await host.call("backend.create", { name: scene.name, command: program });
  return scene.name;
}

async function play(host: Host): Promise<string> {
  let last = "";
  for (const project of ["web-shop", "api-gateway"]) {
    const repository = path.join(host.home, project);
    fs.cpSync(host.repo, repository, { recursive: true });
    await host.call("project.create", { name: project, path: repository });
  }
  for (const scene of SCENES) {
    const { id } = await host.call<{ id: string }>("task.create", {
      name: scene.name,
      project: scene.project,
      prompt: scene.prompt,
      backend: await backendOf(host, scene),
    });
    await host.until(id, (task) => task.state?.value === "working" || task.ended_at !== undefined, `${scene.name} to paint`);
    host.clock.advance(7 * MINUTE_MS);
    last = id;
  }
  return last;
}

async function take(device: Device, file: string): Promise<void> {
  await device.page.evaluate(() => document.fonts.ready);
  const bytes = await device.page.screenshot({ scale: "css", caret: "hide" });
  if (bytes.length > LIMIT_BYTES) throw new Error(`${file} has ${bytes.length} bytes; ${LIMIT_BYTES} is the limit.`);
  fs.writeFileSync(path.join(OUT, file), bytes);
  process.stdout.write(`docs/images/${file}  ${Math.round(bytes.length / 1000)} kB\n`);
}

await ensureWeb();
fs.mkdirSync(OUT, { recursive: true });
await using host = await startHost({ rest: true });
const task = await play(host);
await using browser = await startBrowser();
for (const size of ["desk", "phone"] as const) {
  await using device = await Device.open(browser, { size });
  await device.page.clock.setFixedTime(host.clock.now()); // the tasks were made at different times of the host's clock
  await device.login((await host.call<{ url: string }>("token.login_link")).url);
  await device.page.getByRole("region", { name: "Working, 2" }).waitFor();
  await device.page.goto(`${host.url()}/#/task/${task}`);
  await device.shows("212 tests passed");
  // The session still has the size of the screen before until the agent has painted for this one.
  await device.page.waitForFunction(() => {
    const [cells, room] = [document.querySelector(".xterm-screen"), document.querySelector(".terminal")];
    return cells && room && cells.clientWidth <= room.clientWidth && cells.clientWidth > room.clientWidth - 40;
  });
  await device.shows("Checking the other callers");
  await host.until(task, (one) => one.state?.value === "working");
  await device.page.locator(".detail-line").getByText("Working").waitFor();
  await take(device, size === "desk" ? "web-desktop.png" : "web-phone.png");
}
