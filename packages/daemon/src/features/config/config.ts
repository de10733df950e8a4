/** Settings in layers: built-in default, then what the settings menu stored, then config.toml. */
import path from "node:path";
import type { Store } from "../../kernel/database.ts";
import type { Log } from "../../kernel/log.ts";
import { ConfigFile, type FileLayer } from "./file.ts";
import { fit, KEYS } from "./keys.ts";

declare module "../../kernel/database.ts" {
  interface Tables {
    settings: { key: string; value: string };
  }
}
declare module "../../kernel/operation.ts" {
  interface Services {
    config: Config;
  }
}

export type Layer = "default" | "menu" | "file";

export class Config {
  readonly file: ConfigFile;
  #store: Store;
  #menu = new Map<string, unknown>();

  private constructor(store: Store, file: ConfigFile) {
    this.#store = store;
    this.file = file;
  }

  static async open(store: Store, home: string, log: Log): Promise<Config> {
    const config = new Config(store, new ConfigFile(path.join(home, "config.toml"), log));
    for (const row of await store.db.selectFrom("settings").selectAll().execute()) config.#menu.set(row.key, JSON.parse(row.value));
    return config;
  }

  /** The effective value and the layer it came from. */
  lookup(name: string): { value: unknown; layer: Layer } {
    const key = KEYS[name];
    if (!key) throw new Error(`There is no setting ${name}`);
    const file = this.file.read().values[name];
    if (file !== undefined) return { value: file, layer: "file" };
    const menu = this.#menu.get(name);
    if (menu !== undefined && fit(key, menu) !== undefined) return { value: menu, layer: "menu" };
    return { value: key.default, layer: "default" };
  }

  string(name: string): string {
    return this.lookup(name).value as string;
  }

  bool(name: string): boolean {
    return this.lookup(name).value as boolean;
  }

  int(name: string): number {
    return this.lookup(name).value as number;
  }

  list(name: string): string[] {
    return this.lookup(name).value as string[];
  }

  fileLayer(): FileLayer {
    return this.file.read();
  }

  /** Stores menu values, already checked to fit. */
  async store(values: Record<string, unknown>): Promise<void> {
    for (const [name, value] of Object.entries(values)) {
      await this.#store.db
        .insertInto("settings")
        .values({ key: name, value: JSON.stringify(value) })
        .onConflict((on) => on.column("key").doUpdateSet({ value: JSON.stringify(value) }))
        .execute();
      this.#menu.set(name, value);
    }
  }

  /** Every key with its effective value and layer. */
  all(): { key: string; value: unknown; layer: Layer }[] {
    return Object.keys(KEYS).map((key) => ({ key, ...this.lookup(key) }));
  }
}
