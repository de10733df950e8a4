/** The page as people meet it: real Chromium at phone and desk size on a whole real Argus. */
import assert from "node:assert/strict";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import type { Task } from "@argus/protocol";
import { ensureWeb, sourceHash } from "@argus/web/build";
import type { Browser } from "playwright-core";
import { type Host, startHost } from "../../packages/daemon/src/host.ts";
import { checkPage } from "./audit.ts";
import { Device, SIZES, startBrowser } from "./page.ts";

let browser: Browser;
let dist = "";
before(async () => {
  dist = await ensureWeb();
  browser = await startBrowser();
});
after(() => browser.close());

const loginLink = async (host: Host) => (await host.call<{ url: string }>("token.login_link")).url;
async function create(host: Host, agent: string, input: Record<string, unknown> = {}): Promise<Task> {
  const { id } = await host.call<Task>("task.create", { project: "demo", prompt: "", name: agent, backend: `fixture-${agent}`, ...input });
  return host.call<Task>("task.get", { id });
}
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
const APP_LIMIT_BYTES = 60 * 1024; // gzip, before the terminal's own chunk: loads in a second on a slow phone link

for (const size of ["phone", "desk"] as const)
  test(`WEB-01, WEB-03, WEB-06: from a login link to a typing agent and its diff (${size})`, async () => {
    await using host = await startHost({ rest: true });
    await using device = await Device.open(browser, { size });
    const { page } = device;
    const hosts = device.watchHosts();
    await device.login(await loginLink(host));
    assert.ok(!page.url().includes("login="), "the code stays in no history");
    await page.getByRole("heading", { name: "Agents" }).waitFor();
    await page.getByText("No agents yet").waitFor();

    await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "New task" }).click();
    await page.getByLabel("What should the agent do?").fill("Say back what I type");
    await page.getByRole("combobox", { name: /^Agent/ }).selectOption("fixture-echo");
    await page.getByLabel("Name (optional)").fill("first task");
    await page.getByRole("button", { name: "Start agent" }).click();
    await page
      .getByRole("heading", { name: "first-task" })
      .or(page.getByRole("heading", { name: "first task" }))
      .waitFor();
    await device.shows("ready");

    if (size === "desk") {
      await page.locator(".terminal textarea").focus();
      await page.keyboard.type("typed here");
      await device.shows("typed here");
      await page.keyboard.press("Shift+Enter");
    } else {
      const field = page.getByLabel("Message to the agent");
      await field.fill("dictated text");
      await page.getByRole("button", { name: "Send" }).tap();
      await device.shows("dictated text");
      assert.equal(await field.inputValue(), "");
    }
    const [task] = (await host.call<{ tasks: Task[] }>("task.list")).tasks;
    assert.ok(task);
    fs.writeFileSync(path.join(task.worktree_path, "README.md"), "# Demo\nOne more line\n");
    fs.writeFileSync(path.join(task.worktree_path, "<b>new & odd.txt"), "hello\n");
    await page.getByRole("link", { name: "Diff" }).click();
    await page.getByText("2 changed files").waitFor();
    await page.getByText("One more line").waitFor();
    await page.getByText("<b>new & odd.txt").waitFor();
    await page.getByText("+hello", { exact: true }).waitFor();

    await page.getByRole("link", { name: "Details" }).click();
    await page.getByText(task.worktree_path).waitFor();
    assert.deepEqual([...hosts], [new URL(host.url()).host], "nothing is asked of any other host");
    const manifest = (await (await host.rest("GET", "/manifest.webmanifest")).json()) as { icons: { src: string }[] };
    for (const { src } of manifest.icons) assert.equal((await host.rest("GET", src)).status, 200, src);
    assert.deepEqual(device.wrong, []);
  });

test("WEB-03: a link works once; a wrong one, a used one and a wrong token say so; a revoked token leads back with the reason", async () => {
  await using host = await startHost({ rest: true });
  const link = await loginLink(host);
  await using first = await Device.open(browser);
  await first.login(link);
  await using device = await Device.open(browser, { size: "phone" });
  const { page } = device;
  for (const used of [link, `${host.url()}/#login=nonsense`]) {
    await page.goto("about:blank");
    await page.goto(used);
    await page.getByRole("alert").filter({ hasText: "wrong, was already used, or has expired" }).waitFor();
  }
  await page.getByLabel("Token").fill("not-the-token");
  await page.getByRole("button", { name: "Log in" }).tap();
  await page.getByRole("alert").filter({ hasText: "does not know this token" }).waitFor();
  await page.getByLabel("Token").fill(host.token);
  await page.getByRole("button", { name: "Log in" }).tap();
  await page.getByRole("navigation", { name: "Main" }).waitFor();

  const { tokens } = await host.call<{ tokens: { id: string }[] }>("token.list");
  for (const { id } of tokens) await host.call("token.revoke", { id });
  await first.page.getByRole("alert").filter({ hasText: "no longer accepted" }).waitFor();
});

test("WEB-06: the list shows every task with state and project, what needs a person on top, and follows by itself", async () => {
  await using host = await startHost({ rest: true });
  await using device = await Device.open(browser, { size: "small" });
  const { page } = device;
  await device.login(await loginLink(host));
  await create(host, "idle");
  const ask = await create(host, "ask");
  await create(host, "crash");
  await create(host, "done", { name: "finished-".repeat(20) });
  await create(host, "idle", { name: "<img src=x onerror=alert(1)>" });
  host.clock.advance(4_000);
  await host.until(ask.id, (task) => task.state?.value === "needs_input");
  const groups = page.getByRole("region");
  await page.getByRole("region", { name: "Needs you, 1" }).getByText("Do you want to proceed?").waitFor();
  await page.getByRole("region", { name: "Done, 1" }).waitFor();
  await page.getByRole("region", { name: "Review and idle, 3" }).getByText("Failed").waitFor();
  assert.equal(await groups.first().getAttribute("aria-label"), "Needs you, 1");
  assert.equal(await page.locator("img").count(), 0, "WEB-26: names are text");
  assert.match(await page.title(), /^\(\d+\) Argus$/);
  const rows = await page.locator(".row").evaluateAll((all) => all.map((row) => row.textContent ?? ""));
  assert.equal(rows.filter((row) => row.includes("demo")).length, 5);

  await page.getByRole("link", { name: /Do you want to proceed/ }).tap();
  await device.shows("Enter to confirm");
  await page.getByLabel("Message to the agent").fill("1");
  await page.getByRole("button", { name: "Send" }).tap();
  await device.shows("chosen: 1");
  await page.getByRole("button", { name: "Back to the list" }).tap();
  await page.getByRole("region", { name: "Done, 2" }).waitFor();
  assert.deepEqual(device.wrong, []);
});

test("WEB-17: the key bar sends its bytes at once and leaves the keyboard open", async () => {
  await using host = await startHost({ rest: true });
  const task = await create(host, "echo");
  await using device = await Device.open(browser, { size: "phone" });
  const { page } = device;
  await device.login(await loginLink(host));
  await page.goto(`${host.url()}/#/task/${task.id}`);
  await device.shows("ready");
  const field = page.getByLabel("Message to the agent");
  await field.focus();
  await page.keyboard.type("a");
  for (const name of ["Escape", "Tab", "Shift Tab", "Left", "Up", "Down", "Right", "Control C"]) {
    await page.getByRole("button", { name, exact: true }).tap();
    assert.ok(await field.evaluate((element) => element === document.activeElement), `${name} took the focus`);
  }
  await page.keyboard.type("b");
  assert.equal(await field.inputValue(), "ab");
  const keys = "\x1b\t\x1b[Z\x1b[D\x1b[A\x1b[B\x1b[C\x03";
  await host.eventually(async () => {
    const { base64 } = await host.call<{ base64: string }>("session.history", { id: task.id });
    return Buffer.from(base64, "base64").toString().endsWith(`ready\r\n${keys}`);
  }, "the keys to arrive in order");
});

test("WEB-12, WEB-13: two screens of different size show the same session, and a turned one tells its size once", async () => {
  await using host = await startHost({ rest: true });
  const task = await create(host, "resize");
  await using desk = await Device.open(browser);
  await desk.login(await loginLink(host));
  await desk.page.goto(`${host.url()}/#/task/${task.id}`);
  await desk.shows(/size \d+ 1\d\d/);
  const wide = (await desk.screen()).filter((row) => row.startsWith("size"));
  await using phone = await Device.open(browser, { size: "phone" });
  await phone.login(await loginLink(host));
  await phone.page.goto(`${host.url()}/#/task/${task.id}`);
  await phone.shows(/size \d+ [45]\d/);
  await desk.page.getByText("kept this small by another viewer").waitFor();
  await host
    .eventually(async () => (await desk.screen()).join() === (await phone.screen()).join(), "both screens to be equal")
    .catch(async () => assert.deepEqual(await desk.screen(), await phone.screen()));
  const portrait = await phone.screen();
  await phone.page.setViewportSize({ width: SIZES.phone.height, height: SIZES.phone.width });
  await phone.shows(/size \d+ 1[01]\d/);
  const sizes = (await phone.screen()).filter((row) => row.startsWith("size"));
  const before = portrait.filter((row) => row.startsWith("size")).length;
  assert.equal(sizes.length, before + 1, `one new size, not ${sizes.slice(before).join()}`);
  assert.equal(sizes[wide.length - 1], wide.at(-1), "what was shown before stays");
  assert.deepEqual([...desk.wrong, ...phone.wrong], []);
});

test("WEB-04, SESSION-28: a daemon that is away shows a banner; when it is back, every byte is there and typing goes on", async () => {
  // The same port again after the restart, as in real life.
  const port = await freePort();
  await using host = await startHost({ rest: true, env: { ARGUS_API_PORT: String(port) } });
  const backend = await host.call<{ name: string }>("backend.create", {
    name: "counting",
    command: `${host.system.services.backends.choose("fixture-numbered", "").command} 200 900`,
  });
  const task = await create(host, "echo", { name: "counting", backend: backend.name });
  const typed = await create(host, "echo");
  await using device = await Device.open(browser);
  const { page } = device;
  await device.login(await loginLink(host));
  await page.goto(`${host.url()}/#/task/${task.id}`);
  await device.shows("line ");
  await host.restart();
  await page.context().setOffline(true);
  await page.getByRole("alert").filter({ hasText: "The daemon does not answer" }).waitFor();
  await page.context().setOffline(false);
  await page.getByRole("alert").waitFor({ state: "detached" });
  await host.until(task.id, (one) => one.status === "complete");
  await device.shows("line 900");
  const last = (await device.screen()).filter((row) => row.startsWith("line"));
  assert.deepEqual(
    last,
    last.map((_, at) => `line ${900 - last.length + 1 + at}`),
    "no line is missing or doubled",
  );

  await page.goto(`${host.url()}/#/task/${typed.id}`);
  await device.shows("ready");
  await page.locator(".terminal textarea").focus();
  await page.context().setOffline(true);
  await page.keyboard.type("kept while away");
  await page.getByText("typed and not sent yet").waitFor();
  await page.context().setOffline(false);
  await device.shows("kept while away");
});

test("WEB-01: the service worker keeps the page under the build's hash and nothing of the API, and shows it while the daemon is away", async () => {
  await using host = await startHost({ rest: true });
  await create(host, "idle");
  await using device = await Device.open(browser, { size: "phone" });
  const { page } = device;
  await device.login(await loginLink(host));
  await page
    .getByRole("region", { name: /idle|Working/i })
    .first()
    .waitFor();
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => {}));
  const kept = await page.evaluate(async () => {
    const names = await caches.keys();
    const paths = (
      await Promise.all(names.map(async (name) => (await (await caches.open(name)).keys()).map((one) => new URL(one.url).pathname)))
    ).flat();
    return { names, paths };
  });
  assert.deepEqual(kept.names, [`argus-${sourceHash().slice(0, 16)}`]);
  assert.ok(kept.paths.includes("/") && kept.paths.some((one) => one.endsWith(".js")), kept.paths.join());
  assert.deepEqual(
    kept.paths.filter((one) => one.startsWith("/api/")),
    [],
  );
  await page.context().setOffline(true);
  await page.reload();
  await page.getByRole("alert").filter({ hasText: "The daemon does not answer" }).waitFor();
  await page.context().setOffline(false);
  await page.getByRole("link", { name: /idle/ }).waitFor();
});

test("a task is renamed, stopped, resumed, completed, archived and deleted from its menu", async () => {
  await using host = await startHost({ rest: true });
  const task = await create(host, "echo");
  await using device = await Device.open(browser);
  const { page } = device;
  await device.login(await loginLink(host));
  await page.goto(`${host.url()}/#/task/${task.id}`);
  await device.shows("ready");
  const act = async (name: string) => {
    await page.getByRole("button", { name: "More actions" }).click();
    await page.getByRole("dialog").getByRole("button", { name, exact: true }).click();
  };
  await act("Rename");
  await page.getByRole("textbox", { name: "Name" }).fill("better name");
  await page.getByRole("dialog").getByRole("button", { name: "Rename" }).click();
  await page.getByRole("heading", { name: "better name" }).waitFor();
  await act("Stop agent");
  await page.getByText("Stopped by a person. This is what it last showed.").or(page.getByText("The session ended.")).first().waitFor();
  await host.until(task.id, (one) => one.status === "in_review");
  await act("Resume agent");
  await host.until(task.id, (one) => one.status === "in_progress");
  await page.locator(".terminal[data-link=live]").waitFor();
  await page.locator(".terminal textarea").focus();
  await page.keyboard.type("again");
  await device.shows("again");
  await act("Mark complete");
  await host.until(task.id, (one) => one.status === "complete");
  await act("Pin on top");
  await host.until(task.id, (one) => one.pinned);
  await act("Archive");
  await host.until(task.id, (one) => one.archived);
  await act("Unarchive");
  await host.until(task.id, (one) => !one.archived);
  fs.writeFileSync(path.join(task.worktree_path, "unsaved.txt"), "work\n");
  await act("Delete");
  const dialog = page.getByRole("dialog");
  await dialog.getByText("Uncommitted or unpushed work is first saved").waitFor();
  await dialog.getByRole("button", { name: "Delete task" }).click();
  await page
    .getByRole("status")
    .getByText(/kept 30 days as refs\/argus\/trash/)
    .waitFor();
  assert.equal((await host.call<{ tasks: Task[] }>("task.list")).tasks.length, 0);
});

test("a project is added on the way to a task, and the daemon's errors stand where they belong", async () => {
  await using host = await startHost({ rest: true });
  await using device = await Device.open(browser, { size: "small" });
  const { page } = device;
  await device.login(await loginLink(host));
  await page.goto(`${host.url()}/#/new?project=demo`);
  await page.getByRole("button", { name: "Add project" }).tap();
  const form = page.getByRole("group", { name: "Add a project" });
  await form.getByLabel("Path").fill("/nowhere/at/all");
  await form.getByRole("button", { name: "Add project" }).tap();
  await form.getByRole("alert").waitFor();
  await form.getByLabel("Path").fill(host.repo);
  await form.getByLabel("Name").fill("second");
  await form.getByRole("button", { name: "Add project" }).tap();
  await form.waitFor({ state: "detached" });
  assert.equal(await page.getByLabel("Project", { exact: true }).inputValue(), "second");
  await page.getByLabel("What should the agent do?").fill("Wait");
  await page.getByText("More options").tap();
  await page.getByRole("textbox", { name: /Start from branch/ }).fill("no-such-branch");
  await page.getByRole("combobox", { name: /^Agent/ }).selectOption("fixture-idle");
  await page.getByRole("button", { name: "Start agent" }).tap();
  await page.getByRole("alert").filter({ hasText: "no-such-branch" }).waitFor();
  assert.equal(await page.getByLabel("What should the agent do?").inputValue(), "Wait", "nothing typed is lost");
});

for (const scheme of ["dark", "light"] as const)
  test(`WEB-27: at 360 px nothing scrolls sideways, every control has a name and 44 px, every text contrast (${scheme})`, async () => {
    await using host = await startHost({ rest: true });
    const ask = await create(host, "ask");
    const crash = await create(host, "crash", { name: "a-name-without-an-end-".repeat(8), prompt: "word ".repeat(200) });
    await create(host, "done");
    fs.writeFileSync(path.join(crash.worktree_path, `${"long-".repeat(30)}.txt`), `${"wide ".repeat(100)}\n`);
    host.clock.advance(4_000);
    await host.until(ask.id, (task) => task.state?.value === "needs_input");
    await using device = await Device.open(browser, { size: "small", scheme });
    const { page } = device;
    const problems: string[] = [];
    const look = async (name: string, ready: () => Promise<unknown>) => {
      await ready();
      problems.push(...(await checkPage(page)).map((problem) => `${name}: ${problem}`));
    };
    const open = (hash: string) => page.goto(`${host.url()}/#/${hash}`);
    await page.goto(host.url());
    await look("login", () => page.getByRole("button", { name: "Log in" }).waitFor());
    await device.login(await loginLink(host));
    await look("list", () => page.getByRole("region", { name: "Needs you, 1" }).waitFor());
    await open("inbox");
    await look("inbox", () => page.getByRole("heading", { name: "Inbox" }).waitFor());
    await open("new");
    await look("new task", () => page.getByRole("button", { name: "Start agent" }).waitFor());
    await open("more");
    await look("more", () => page.getByRole("button", { name: "Log out" }).waitFor());
    await open(`task/${ask.id}`);
    await look("terminal", () => device.shows("Enter to confirm"));
    await open(`task/${crash.id}`);
    await look("ended terminal", () => device.shows("about to fail"));
    await open(`task/${crash.id}/diff`);
    await look("diff", () => page.getByText("wide wide").first().waitFor());
    await open(`task/${crash.id}/info`);
    await look("details", () => page.getByRole("heading", { name: "Prompt" }).waitFor());
    await page.getByRole("button", { name: "More actions" }).tap();
    await look("menu", () => page.getByRole("dialog").getByText("Rename").waitFor());
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).tap();
    await look("delete", () => page.getByRole("button", { name: "Keep task" }).waitFor());
    assert.deepEqual(problems, []);
    assert.deepEqual(device.wrong, []);
  });

test("300 tasks are one list that can be filtered, with the finished ones folded", async () => {
  await using host = await startHost({ rest: true });
  const { id } = await create(host, "done", { name: "the-first" });
  await host.until(id, (task) => task.status === "complete");
  const { db } = host.system.services.store;
  const { id: _, ...row } = await db.selectFrom("tasks").selectAll().where("id", "=", Number(id)).executeTakeFirstOrThrow();
  await db
    .insertInto("tasks")
    .values(
      Array.from({ length: 299 }, (_item, at) => ({
        ...row,
        name: `copy-${at}`,
        branch: `copy-${at}`,
        worktree: `${row.worktree}-${at}`,
      })),
    )
    .execute();
  await using device = await Device.open(browser, { size: "phone" });
  const { page } = device;
  await device.login(await loginLink(host));
  await page.getByRole("region", { name: "Done, 300" }).waitFor();
  assert.equal(await page.locator(".row").count(), 0);
  await page.getByRole("button", { name: /^Done/ }).tap();
  assert.equal(await page.locator(".row").count(), 300);
  await page.getByRole("searchbox").fill("copy-29");
  await page.getByRole("region", { name: "Done, 10" }).waitFor();
});

test("the page without the terminal is at most 60 KB", () => {
  const html = fs.readFileSync(path.join(dist, "index.html"), "utf8");
  const scripts = [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+\.js)"/g)].map((match) => match[1] ?? "");
  assert.ok(scripts.length > 0);
  const bytes = scripts.reduce((sum, file) => sum + gzipSync(fs.readFileSync(path.join(dist, file)), { level: 9 }).length, 0);
  assert.ok(bytes <= APP_LIMIT_BYTES, `${bytes} bytes`);
});
