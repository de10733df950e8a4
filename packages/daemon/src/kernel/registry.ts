/** Finds operations by name: the static ones of the features, and those that arrive at run time from connectors, bundles and plugins. */
import { ArgusError, type OperationManifest } from "@argus/protocol";
import { z } from "zod";
import type { AnyOperation } from "./operation.ts";

export class Registry {
  #static = new Map<string, AnyOperation>();
  #dynamic = new Map<string, AnyOperation>();
  #listeners = new Set<() => void>();
  #schemas = new WeakMap<AnyOperation, Record<string, unknown>>();

  constructor(operations: AnyOperation[]) {
    for (const operation of operations) {
      if (this.#static.has(operation.name)) throw new Error(`Two operations are called ${operation.name}`);
      this.#static.set(operation.name, operation);
    }
  }

  find(name: string): AnyOperation {
    const found = this.#static.get(name) ?? this.#dynamic.get(name);
    if (!found)
      throw new ArgusError(
        "METHOD_NOT_FOUND",
        `There is no operation ${JSON.stringify(name.slice(0, 100))}. \`argus operations\` lists those there are.`,
      );
    return found;
  }

  all(): AnyOperation[] {
    return [...this.#static.values(), ...this.#dynamic.values()];
  }

  add(operation: AnyOperation): void {
    if (this.#static.has(operation.name)) throw new ArgusError("CONFLICT", `The name ${operation.name} belongs to a built-in operation.`);
    this.#dynamic.set(operation.name, operation);
    for (const listener of this.#listeners) listener();
  }

  remove(name: string): void {
    if (this.#dynamic.delete(name)) for (const listener of this.#listeners) listener();
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** JSON Schema of an operation's input, made once. */
  inputSchema(operation: AnyOperation): Record<string, unknown> {
    let schema = this.#schemas.get(operation);
    if (!schema) {
      const { $schema: _, ...rest } = z.toJSONSchema(operation.input, { io: "input", unrepresentable: "any" }) as Record<string, unknown>;
      schema = rest;
      this.#schemas.set(operation, schema);
    }
    return schema;
  }

  /** What surfaces and faces build their forms from; `names` picks some. */
  manifest(names?: Set<string>): OperationManifest[] {
    return this.all()
      .filter((operation) => !names || names.has(operation.name))
      .map((operation) => ({
        name: operation.name,
        summary: operation.summary,
        tier: operation.tier,
        stream: operation.stream,
        positional: operation.positional ?? [],
        input: this.inputSchema(operation),
        mcp: mcpName(operation),
        rest: Object.keys(operation.rest ?? {}),
        planned: operation.planned ?? false,
      }));
  }
}

/** The tool name of an operation: its traditional name, or dots to underscores; null when it is not offered to agents. */
export function mcpName(operation: AnyOperation): string | null {
  if (operation.as?.mcp !== undefined) return operation.as.mcp;
  return null;
}
