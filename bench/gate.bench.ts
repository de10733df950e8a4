/** A call over the local socket, and the list of 1,000 tasks over REST. Goals: gate p50 < 0.3 ms. */
import path from "node:path";
import { SocketClient } from "@argus/client/socket";
import { startHost } from "../packages/daemon/src/host.ts";
import { goal, paired, percentile, say, time } from "./measure.ts";

await using host = await startHost({ rest: true, env: { ARGUS_CHECK_REPLIES: "0" } });
using client = await SocketClient.connect(path.join(host.home, "daemon.sock"));
const read = await time(3000, 500, () => client.call("token.self"));
say("socket call, read (token.self)", read, goal("p50", percentile(read, 50), 0.3));
const one = await host.call<{ id: string }>("task.create", { project: "demo", prompt: "wait" });
let pinned = false;
const write = await time(2000, 200, () => client.call("task.pin", { id: one.id, pinned: (pinned = !pinned) }));
say("socket call, write + event + audit (task.pin)", write, "one transaction, one event, one audit row");

const { store } = host.system.services;
const row = await store.db.selectFrom("tasks").selectAll().where("id", "=", Number(one.id)).executeTakeFirstOrThrow();
const { id: _, ...copy } = row;
for (let from = 0; from < 999; from += 111)
  await store.db
    .insertInto("tasks")
    .values(Array.from({ length: 111 }, (_unused, n) => ({ ...copy, worktree: `/nowhere/${from + n}`, prompt: "p".repeat(200) })))
    .execute();
const headers = { authorization: `Bearer ${host.token}` };
const url = host.url();
const [list, floor] = await paired(
  60,
  10,
  async () => (await fetch(`${url}/api/tasks`, { headers })).arrayBuffer(),
  async () => (await fetch(`${url}/api/tokens/self`, { headers })).arrayBuffer(),
);
const bytes = (await (await fetch(`${url}/api/tasks`, { headers })).arrayBuffer()).byteLength;
say("GET /api/tasks, 1,000 tasks", list, `${Math.round(bytes / 1024)} KiB`);
say("GET /api/tokens/self, for scale", floor);
