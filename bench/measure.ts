/** Small tools for honest timings: percentiles, paired runs, a line to print. */
import { execFileSync } from "node:child_process";
import os from "node:os";

export function percentile(values: number[], p: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor((p / 100) * sorted.length))] ?? Number.NaN;
}

/** Milliseconds of each run, after warm-up. */
export async function time(runs: number, warm: number, work: (run: number) => unknown): Promise<number[]> {
  for (let n = 0; n < warm; n++) await work(-1 - n);
  const taken: number[] = [];
  for (let n = 0; n < runs; n++) {
    const from = performance.now();
    await work(n);
    taken.push(performance.now() - from);
  }
  return taken;
}

/** Alternates two things, so that a busy moment of the machine meets both. */
export async function paired(runs: number, warm: number, one: () => unknown, other: () => unknown): Promise<[number[], number[]]> {
  const a: number[] = [];
  const b: number[] = [];
  for (let n = -warm; n < runs; n++) {
    const from = performance.now();
    await one();
    const middle = performance.now();
    await other();
    const end = performance.now();
    if (n >= 0) {
      a.push(middle - from);
      b.push(end - middle);
    }
  }
  return [a, b];
}

const ms = (value: number) => (value < 10 ? value.toFixed(3) : value.toFixed(1));

/** One line: what, p50, p99, and a ratio against the goal where there is one. */
export function say(what: string, values: number[], more = ""): void {
  console.log(
    `${what.padEnd(46)} p50 ${ms(percentile(values, 50)).padStart(8)} ms   p99 ${ms(percentile(values, 99)).padStart(8)} ms${more ? `   ${more}` : ""}`,
  );
}

export function goal(name: string, value: number, limit: number, atLeast = false): string {
  const met = atLeast ? value >= limit : value <= limit;
  return `${name} ${value.toFixed(2)} (goal ${atLeast ? ">=" : "<="} ${limit}: ${met ? "met" : "MISSED"})`;
}

/** The machine these figures are from. */
export function machine(): string {
  const git = execFileSync("git", ["--version"], { encoding: "utf8" }).trim();
  return `${os.cpus().length} cores, ${Math.round(os.totalmem() / 2 ** 30)} GiB, ${os.type()} ${os.release()}, Node ${process.version}, ${git}`;
}
