/** Tokens: minting, listing, revoking, logging in. */
import { TIERS } from "@argus/protocol";
import type { Migration } from "kysely/migration";
import { z } from "zod";
import { operation } from "../../kernel/operation.ts";
import { idColumn } from "../../kernel/schema.ts";

export { Tokens } from "./tokens.ts";

const Tier = z.enum(TIERS);
const Minted = z.object({ id: z.string(), label: z.string(), token: z.string(), tier: Tier });
const Listed = z.object({
  id: z.string(),
  label: z.string(),
  last4: z.string(),
  tier: Tier,
  scope: z.string().optional(),
  created_at: z.string(),
  last_used: z.string().nullable(),
});

const list = operation({
  name: "token.list",
  summary: "List device and scope tokens by label and last four characters",
  tier: "admin",
  input: z.object({}),
  output: z.object({ tokens: z.array(Listed) }),
  rest: { "GET /api/tokens": {} },
  example: { input: {}, output: { tokens: [] } },
}).run(async (_input, { tokens }) => ({ tokens: await tokens.list() }));

const mint = operation({
  name: "token.mint",
  summary: "Make a token for a device; it is shown once",
  tier: "admin",
  input: z.object({ label: z.string().trim().min(1).max(100), tier: Tier.optional().describe("Lower than the default of its kind") }),
  output: Minted,
  shownOnce: ["token"],
  status: 201,
  rest: { "POST /api/tokens": {} },
  positional: ["label"],
  example: { input: { label: "phone" }, output: { label: "phone", tier: "full" } },
}).run(({ label, tier }, { tokens }) => tokens.mint(label, { ...(tier && { tier }) }));

/** Never over HTTP: no `rest` (TOKEN-09). */
const mintScope = operation({
  name: "token.mint_scope",
  summary: "Make a scope token for a plugin; it is shown once",
  tier: "admin",
  input: z.object({ scope: z.string().regex(/^[a-z][a-z0-9-]{0,40}$/, "is a lower-case word"), tier: Tier.optional() }),
  output: Minted,
  shownOnce: ["token"],
  positional: ["scope"],
  example: { input: { scope: "sample" }, output: { tier: "write" } },
}).run(({ scope, tier }, { tokens }) => tokens.mint(`plugin ${scope}`, { scope, ...(tier && { tier }) }));

const revoke = operation({
  name: "token.revoke",
  summary: "Revoke a token; its open streams end",
  tier: "admin",
  input: z.object({ id: z.string().regex(/^\d{1,15}$/, "is a number") }),
  output: z.object({ status: z.literal("revoked") }),
  rest: { "DELETE /api/tokens/{id}": {} },
  positional: ["id"],
}).run(async ({ id }, { tokens }) => {
  await tokens.revoke(id);
  return { status: "revoked" as const };
});

const rotate = operation({
  name: "token.rotate",
  summary: "Replace the master token; streams opened with the old one end",
  tier: "admin",
  input: z.object({}),
  output: z.object({ status: z.literal("rotated") }),
}).run(async (_input, { tokens }) => {
  await tokens.rotate();
  return { status: "rotated" as const };
});

const self = operation({
  name: "token.self",
  summary: "Show who the calling token is",
  tier: "readonly",
  input: z.object({}),
  output: z.object({ id: z.string(), label: z.string(), tier: Tier, last4: z.string() }),
  rest: { "GET /api/tokens/self": {} },
}).run(async (_input, { tokens }, { caller }) => {
  const known = (await tokens.list()).find((token) => token.id === caller.tokenId);
  return {
    id: caller.tokenId ?? caller.id,
    label: known?.label ?? caller.id,
    tier: caller.tier,
    last4: known?.last4 ?? (caller.kind === "master" ? tokens.master.slice(-4) : ""),
  };
});

const loginLink = operation({
  name: "token.login_link",
  summary: "Print a link that logs one device in, once, within 15 minutes",
  tier: "admin",
  input: z.object({}),
  output: z.object({ url: z.string(), expires_in_minutes: z.number() }),
  shownOnce: ["url"],
}).run((_input, { tokens, addresses }) => {
  const base = addresses().web;
  return { url: `${base ?? "http://127.0.0.1:7743"}/#login=${tokens.loginCode()}`, expires_in_minutes: 15 };
});

export const operations = [list, mint, mintScope, revoke, rotate, self, loginLink];

export const migrations: Record<string, Migration> = {
  "2026-11-21-tokens": {
    async up(db) {
      await idColumn(db.schema.createTable("tokens"), db)
        .addColumn("label", "text", (c) => c.notNull())
        .addColumn("hash", "text", (c) => c.notNull().unique())
        .addColumn("last4", "text", (c) => c.notNull())
        .addColumn("scope", "text", (c) => c.notNull())
        .addColumn("tier", "text", (c) => c.notNull())
        .addColumn("created_at", "bigint", (c) => c.notNull())
        .addColumn("last_used", "bigint")
        .addColumn("revoked_at", "bigint")
        .execute();
    },
  },
};
