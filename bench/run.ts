/** `npm run bench [name…]`: every claim, measured in one run. */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { machine } from "./measure.ts";

const wanted = process.argv.slice(2);
const names = fs
  .readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith(".bench.ts"))
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .sort();
console.log(machine());
let failed = 0;
for (const name of names) {
  console.log(`\n== ${name.replace(".bench.ts", "")} ==`);
  const { status } = spawnSync(process.execPath, ["--disable-warning=ExperimentalWarning", path.join(import.meta.dirname, name)], {
    stdio: "inherit",
    timeout: 600_000,
  });
  if (status !== 0) failed++;
}
process.exit(failed > 0 ? 1 : 0);
