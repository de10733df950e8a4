/** Looks at the processes of this machine through /proc: who they are, when they began, whose they are. */

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setImmediate as breathe } from "node:timers/promises";

export interface ProcessFact {
  pid: number;
  parent: number;
  group: number;
  session: number;
  /** Clock ticks since boot. Pid and start time together name a process for ever. */
  started: number;
  zombie: boolean;
}

/** Processes looked at between two turns of the event loop: about 2 ms, so that a sweep never delays a key noticeably. */
const BATCH = 60;

/** The process, or null when there is none (or no /proc, as on macOS). */
export function processFact(pid: number): ProcessFact | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return null;
  }
  // The name is in parentheses and may hold anything, so counting starts behind the last one.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return {
    pid,
    parent: Number(fields[1]),
    group: Number(fields[2]),
    session: Number(fields[3]),
    started: Number(fields[19]),
    zombie: fields[0] === "Z" || fields[0] === "X",
  };
}

/** Names this boot of the machine; empty where unknown. Pids of another boot mean nothing. */
export function bootName(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "";
  }
}

/** True when `NAME=value` stands in the environment the process was started with. */
function carries(pid: number, mark: string): boolean {
  try {
    const text = readFileSync(`/proc/${pid}/environ`, "latin1");
    return text.startsWith(`${mark}\0`) || text.includes(`\0${mark}\0`);
  } catch {
    return false;
  }
}

/** All living processes, each with those of `marks` it carries. */
export async function allProcesses(marks: ReadonlySet<string>): Promise<{ fact: ProcessFact; marks: string[] }[]> {
  const found: { fact: ProcessFact; marks: string[] }[] = [];
  let names: string[];
  try {
    names = readdirSync("/proc");
  } catch {
    return found;
  }
  let looked = 0;
  for (const name of names) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const fact = processFact(pid);
    if (fact && !fact.zombie) found.push({ fact, marks: [...marks].filter((mark) => carries(pid, Buffer.from(mark).toString("latin1"))) });
    if (++looked % BATCH === 0) await breathe();
  }
  return found;
}

/** This process and those it descends from: an environment that names a session may be inherited from one above us. */
export function ownLine(): Set<number> {
  const line = new Set<number>();
  for (let pid = process.pid; pid > 0 && !line.has(pid); pid = processFact(pid)?.parent ?? 0) line.add(pid);
  return line;
}

/** Descriptors of this process. */
export function ownDescriptors(): { fd: number; target: string }[] {
  const folder = process.platform === "darwin" ? "/dev/fd" : "/proc/self/fd";
  return readdirSync(folder).flatMap((name) => {
    try {
      return [{ fd: Number(name), target: process.platform === "darwin" ? "" : readlinkSync(`${folder}/${name}`) }];
    } catch {
      return [];
    }
  });
}
