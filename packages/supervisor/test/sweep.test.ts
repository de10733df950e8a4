/** Whatever an agent started ends with it. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { allProcesses } from "../src/processes.ts";
import { alive, startHost, startMain, until } from "./host.ts";

async function carriers(mark: string): Promise<number[]> {
  return (await allProcesses(new Set([mark]))).filter(({ marks }) => marks.length).map(({ fact }) => fact.pid);
}

const environment = (mark: string) => ({ PATH: process.env.PATH as string, [mark.split("=")[0] as string]: mark.split("=")[1] as string });

test("SUPERVISOR-26: a stop signals the group and kills what ignores it, though the client is gone by then", async () => {
  await using host = await startHost();
  const mark = `ARGUS_TASK_ID=sweep-26-${process.pid}`;
  await host.spawn("a", ["slow-exit"], { mark, env: environment(mark) });
  await host.said("a", "child");
  assert.ok((await carriers(mark)).length >= 2);
  const other = await host.connect();
  await other.signal("a", "SIGTERM", { killAfterMs: 300 });
  other.close();
  const exit = await host.ended("a");
  assert.deepEqual([exit.signal, exit.stopped], ["SIGKILL", true]);
  await until("nothing is left", async () => (await carriers(mark)).length === 0);
  await host.client.signal("a", "SIGTERM");
});

test("SUPERVISOR-27: a child that left the session but carries the mark is ended too, after a natural end as well", async () => {
  await using host = await startHost();
  const mark = `ARGUS_TASK_ID=sweep-27-${process.pid}`;
  await host.spawn("a", ["/bin/sh", "-c", "setsid sleep 1000000 & setsid sh -c 'trap \"\" HUP; sleep 1000000' & echo started; exit 3"], {
    mark,
    env: environment(mark),
  });
  assert.equal((await host.ended("a")).code, 3);
  await until("nothing is left", async () => (await carriers(mark)).length === 0);
});

test("SUPERVISOR-27: a new run of the same task is not swept with the old one", async () => {
  await using host = await startHost();
  const mark = `ARGUS_TASK_ID=sweep-again-${process.pid}`;
  const env = environment(mark);
  await host.spawn("a.1", ["/bin/sh", "-c", "trap '' TERM; (trap '' TERM HUP; setsid sleep 1000000) & exit 0"], { mark, env });
  await host.ended("a.1");
  const { pid } = await host.spawn("a.2", ["idle"], { mark, env });
  await host.said("a.2", "idle");
  await until("only the new run is left", async () => (await carriers(mark)).length === 1, 30_000);
  assert.deepEqual([await carriers(mark), alive(pid)], [[pid], true]);
});

test("SUPERVISOR-26: a new supervisor ends what its killed predecessor left behind", async () => {
  await using host = await startHost();
  const mark = `ARGUS_TASK_ID=sweep-left-${process.pid}`;
  const { pid } = await host.spawn(
    "a",
    ["/bin/sh", "-c", "trap '' HUP; setsid sh -c 'trap \"\" HUP; echo deep; sleep 1000000' & while :; do sleep 1; done"],
    { mark, env: environment(mark) },
  );
  await host.said("a", "deep");
  host.process.kill("SIGKILL");
  await once(host.process, "exit");
  assert.equal(alive(pid), true);
  const next = startMain(host.home);
  await until("nothing is left", async () => !alive(pid) && (await carriers(mark)).length === 0);
  assert.ok(next.pid);
  host.client = await until("the new one answers", () => host.connect().catch(() => null));
});

test("SUPERVISOR-26: a signal right after the start is not lost, though the child leads no group yet", async () => {
  await using host = await startHost();
  for (let n = 0; n < 20; n++) {
    await host.spawn(`s${n}`, ["/bin/sleep", "1000"]);
    await host.client.signal(`s${n}`, "SIGTERM");
  }
  for (let n = 0; n < 20; n++) assert.equal((await host.ended(`s${n}`)).signal, "SIGTERM");
});
