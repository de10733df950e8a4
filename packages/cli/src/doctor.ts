/** `argus doctor`: checks, evidence, and what to do. */
import { connect } from "./connection.ts";
import type { Globals } from "./globals.ts";

const WORD = { pass: "PASS", warn: "WARN", fail: "FAIL" } as const;

export async function run(_args: string[], globals: Globals): Promise<number> {
  const connection = await connect(globals);
  try {
    const { checks } = await connection.call<{ checks: { name: string; status: keyof typeof WORD; evidence: string }[] }>("health", {
      deep: true,
    });
    if (globals.json) process.stdout.write(`${JSON.stringify({ checks }, null, 2)}\n`);
    else {
      const width = Math.max(...checks.map((check) => check.name.length));
      for (const check of checks) process.stdout.write(`${WORD[check.status]}  ${check.name.padEnd(width)}  ${check.evidence}\n`);
    }
    return checks.some((check) => check.status === "fail") ? 1 : 0;
  } finally {
    connection.close();
  }
}
