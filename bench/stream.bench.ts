/** A key typed through the daemon and seen in its stream: socket call in, stream item out. Goal: p50 < 1 ms. */
import path from "node:path";
import { SocketClient } from "@argus/client/socket";
import { startHost } from "../packages/daemon/src/host.ts";
import { goal, percentile, say } from "./measure.ts";

const KEYS = 1500;
const WARM = 200;

await using host = await startHost({ env: { ARGUS_CHECK_REPLIES: "0" } });
const { id } = await host.call<{ id: string }>("task.create", { project: "demo", prompt: "", name: "echo", backend: "fixture-echo" });
using typing = await SocketClient.connect(path.join(host.home, "daemon.sock"));
using watching = await SocketClient.connect(path.join(host.home, "daemon.sock"));
let seen = () => {};
const ready = Promise.withResolvers<void>();
const reading = (async () => {
  for await (const item of watching.stream<{ kind: string; base64?: string }>("session.stream", { id })) {
    if (item.kind === "snapshot") ready.resolve();
    if (item.kind === "bytes") seen();
    if (item.kind === "exit") return;
  }
})();
await ready.promise;
await host.eventually(
  async () => (await host.call<{ rows: string[] }>("session.screen", { id })).rows.join("").includes("ready"),
  "the agent",
);
const taken: number[] = [];
for (let n = -WARM; n < KEYS; n++) {
  const from = performance.now();
  const echo = new Promise<void>((resolve) => {
    seen = resolve;
  });
  const typed = typing.call("session.input", { id, text: "x" });
  await echo;
  if (n >= 0) taken.push(performance.now() - from);
  await typed;
}
say("key echo through daemon and stream", taken, goal("p50", percentile(taken, 50), 1));
await host.call("task.stop", { id });
await reading;
