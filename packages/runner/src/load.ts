/** Measures what whole process trees take of this machine, through /proc; where there is none, nothing is known. */
import { readdir, readFile } from "node:fs/promises";
import type { Load } from "./node.ts";

/** Kernel clock ticks are 1/100 s on every Linux that Node runs on. */
const TICK_MS = 10;

interface Stat {
  pid: number;
  parent: number;
  session: number;
  stopped: boolean;
  cpuMs: number;
}

async function statOf(pid: number): Promise<Stat | null> {
  const text = await readFile(`/proc/${pid}/stat`, "latin1").catch(() => null);
  if (!text) return null;
  // The name is in parentheses and may hold anything, so counting starts behind the last one.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  // Own time, and that of children which have ended: else a shell that runs many short programs would look idle.
  const ticks = [11, 12, 13, 14].reduce((sum, field) => sum + Number(fields[field]), 0);
  return { pid, parent: Number(fields[1]), session: Number(fields[3]), stopped: fields[0] === "T", cpuMs: ticks * TICK_MS };
}

async function memoryOf(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, "latin1").catch(() => "");
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) * 1024;
}

/** By pid of the root: all its descendants, and whoever is in its session though its parent is gone. */
export async function loadOf(roots: number[]): Promise<Map<number, Load>> {
  const found = new Map<number, Load>();
  const names = roots.length > 0 ? await readdir("/proc").catch(() => []) : [];
  const stats = new Map<number, Stat>();
  for (const name of names) {
    const stat = /^\d+$/.test(name) ? await statOf(Number(name)) : null;
    if (stat) stats.set(stat.pid, stat);
  }
  const rootOf = (stat: Stat): number | null => {
    for (let at: Stat | undefined = stat, steps = 0; at && steps < 100; at = stats.get(at.parent), steps++) {
      if (found.has(at.pid)) return at.pid;
      if (found.has(at.session)) return at.session;
    }
    return null;
  };
  for (const root of roots) {
    const stat = stats.get(root);
    if (stat) found.set(root, { cpuMs: 0, memory: 0, stopped: stat.stopped });
  }
  for (const stat of stats.values()) {
    const root = rootOf(stat);
    const load = root === null ? undefined : found.get(root);
    if (!load) continue;
    load.cpuMs += stat.cpuMs;
    load.memory += await memoryOf(stat.pid);
  }
  return found;
}
