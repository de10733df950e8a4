/** `npm run check`: types, lint and format; says all that is wrong at once. */
import { spawn } from "node:child_process";
import path from "node:path";

const root = path.resolve(import.meta.dirname, "..");
const bin = (name: string) => path.join(root, "node_modules", ".bin", name);
const FOLDERS = ["packages", "tools", "tests", "bench", "scripts", "fixtures"];
const CHECKS: Record<string, string[]> = {
  types: [bin("tsc"), "-p", "tsconfig.json"],
  lint: [bin("oxlint"), "--type-aware", "--deny-warnings", ...FOLDERS],
  format: [bin("biome"), "check", "--linter-enabled=false", ...FOLDERS],
};

const results = await Promise.all(
  Object.entries(CHECKS).map(
    ([name, [program, ...args]]) =>
      new Promise<boolean>((resolve) => {
        const child = spawn(program as string, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
        let said = "";
        child.stdout.on("data", (chunk) => (said += chunk));
        child.stderr.on("data", (chunk) => (said += chunk));
        child.on("close", (code) => {
          if (code !== 0) process.stdout.write(`${said}\n`);
          process.stdout.write(`${code === 0 ? "ok" : "FAILED"}  ${name}\n`);
          resolve(code === 0);
        });
      }),
  ),
);
process.exit(results.every(Boolean) ? 0 : 1);
