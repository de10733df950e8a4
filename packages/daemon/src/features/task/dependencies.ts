/** Starts pending tasks when everything they depend on is complete. */
import type { Log } from "../../kernel/log.ts";
import type { Services } from "../../kernel/operation.ts";

declare module "../../kernel/operation.ts" {
  interface Services {
    dependencies: Dependencies;
  }
}

export class Dependencies {
  #services: () => Services;
  #log: Log;
  #tail: Promise<void> = Promise.resolve();

  constructor(services: () => Services, log: Log) {
    this.#services = services;
    this.#log = log;
  }

  /** Looks at all waiting tasks; safe to call after anything that may have completed one, and at daemon start. */
  release(): Promise<void> {
    this.#tail = this.#tail.then(() => this.#release()).catch((err) => this.#log.error({ err }, "waiting tasks could not be looked at"));
    return this.#tail;
  }

  async #release(): Promise<void> {
    const { tasks, launcher } = this.#services();
    for (const row of await tasks.list({ status: "pending" })) {
      const parents = JSON.parse(row.depends_on) as string[];
      if (parents.length === 0 || row.run_count > 0) continue;
      const rows = await Promise.all(parents.map((id) => tasks.byId(id).catch(() => null)));
      if (rows.some((parent) => parent?.status !== "complete")) continue;
      await launcher
        .start(row, { resume: false })
        .catch((err) => this.#log.warn({ err, task: row.id }, "a released task could not be started"));
    }
  }
}
