/** Text that Argus hands to an agent: when it is typed, how it is sent, and what is said of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { typeable, typedOn } from "../src/features/session/prompt.ts";
import { type Host, startHost } from "../src/host.ts";
import { start, view } from "./viewer.ts";

const row = (text: string, cursor = text.length) => ({ text: ["above", text, ""], cursor: { x: cursor, y: 1 } });

test("SESSION-39: the prompt line is read from the screen of many programs", () => {
  const cases: [Parameters<typeof typedOn>[0], string][] = [
    [row("> "), ""],
    [row("> half"), "half"],
    [row("❯ "), ""],
    [row("│ > write more                │", 14), "write more"],
    [row('│ > Try "edit this file"      │', 4), ""],
    [row("me@host:~/x$ "), ""],
    [row("me@host:~/x$ echo a > b"), "echo a > b"],
    [row(""), ""],
    [row("plain words"), "plain words"],
    [{ text: ["╭───╮", "│ > half │", "╰───╯", "  ? for shortcuts", ""], cursor: { x: 0, y: 4 } }, "half"],
    [{ text: ["╭───╮", "│ > │", "╰───╯", "  ? for shortcuts", ""], cursor: { x: 0, y: 4 } }, ""],
  ];
  assert.deepEqual(
    cases.map(([screen]) => typedOn(screen)),
    cases.map(([, typed]) => typed),
  );
});

test("SESSION-39: control characters are not typed, and lines are one paste or one line", () => {
  assert.deepEqual(
    [typeable("a\x1b[31mb\x03\r", true), typeable("a\r\n b", false), typeable("a\nb", true)],
    ["a[31mb", "a b", "\x1b[200~a\nb\x1b[201~"],
  );
});

const idle = (host: Host, id: string) => {
  host.clock.advance(3_500);
  return host.until(id, (task) => task.state?.value === "idle");
};

test("SESSION-39, SESSION-40: text waits for an idle agent and an empty prompt line, then is typed and sent apart", async () => {
  await using host = await startHost();
  const id = await start(host, "composer");
  await using viewer = await view(host, id);
  await viewer.until((v) => v.text().includes("> "), "the prompt");
  await host.until(id, (task) => task.state?.value === "working");
  const text = "You have a message.";
  const { delivery, status } = await host.call<{ delivery: string; status: string }>("session.deliver", { id, text, wait_seconds: 0 });
  assert.equal(status, "queued", "not while it works");
  await host.call("session.input", { id, text: "half" });
  await viewer.until((v) => v.text().includes("half"), "a person's beginning");
  await idle(host, id);
  const now = async () => (await host.call("session.delivery", { id, delivery })).status;
  host.clock.advance(1_000);
  await host.until(id, () => true);
  assert.equal(await now(), "queued", "not into somebody's sentence");
  await host.call("session.input", { id, text: "\x15" });
  await host.until(id, (task) => task.state?.value === "working");
  await idle(host, id);
  await viewer.until((v) => v.text().includes(`got "${text}"`), "the text, sent");
  await host.eventually(async () => (await now()) === "submitted", "the delivery to be submitted");
});

test("SESSION-40: a swallowed carriage return is sent again, and typed text that nobody takes is not called submitted", async () => {
  await using host = await startHost();
  const command = host.system.services.backends.choose("fixture-composer", "").command;
  await host.call("backend.create", { name: "swallows", command: `${command} 1` });
  await host.call("backend.create", { name: "deaf", command: `${command} 1000` });
  const [once, never] = [await start(host, "a", { backend: "swallows" }), await start(host, "b", { backend: "deaf" })];
  await host.until(never, (task) => task.state?.value === "working");
  await host.until(once, (task) => task.state?.value === "working");
  await idle(host, once);
  await idle(host, never);
  const replies = await Promise.all([once, never].map((id) => host.call("session.deliver", { id, text: "hi" })));
  assert.deepEqual(
    replies.map((reply) => reply.status),
    ["submitted", "typed"],
  );
});

test("SESSION-40: what could not be typed until the deadline expired", async () => {
  await using host = await startHost();
  const id = await start(host, "flood");
  await host.until(id, (task) => task.state?.value === "working");
  const { delivery } = await host.call<{ delivery: string }>("session.deliver", { id, text: "hi", wait_seconds: 0 });
  host.clock.advance(299_000);
  const now = async () => (await host.call("session.delivery", { id, delivery })).status;
  assert.equal(await now(), "queued");
  host.clock.advance(2_000);
  await host.eventually(async () => (await now()) === "expired", "the delivery to expire");
  await assert.rejects(host.call("session.delivery", { id, delivery: "other" }), { code: "NOT_FOUND" });
});
