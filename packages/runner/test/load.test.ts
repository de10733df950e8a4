/** What process trees take of the machine. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { loadOf } from "../src/load.ts";

test("SESSION-50: memory of a grandchild and time of children that have ended count for the root", {
  skip: process.platform !== "linux",
}, async () => {
  const grandchild = "const held = Buffer.alloc(200e6, 1); console.log('held'); setInterval(() => held[0], 1e6)";
  const shell = `${process.execPath} -e "for (const end = Date.now() + 200; Date.now() < end;);"; sh -c '"$0" -e "$1"; :' ${process.execPath} "$CODE"; :`;
  const root = spawn("sh", ["-c", shell], {
    env: { ...process.env, CODE: grandchild },
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  try {
    await once(root.stdout, "data");
    const load = (await loadOf([root.pid as number, 999_999_999])).get(root.pid as number);
    assert.ok(load && load.memory > 200e6 && load.cpuMs >= 150 && !load.stopped, JSON.stringify(load));
  } finally {
    process.kill(-(root.pid as number), "SIGKILL");
    await once(root, "close");
  }
});
