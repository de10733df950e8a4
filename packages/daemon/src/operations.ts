/** Every feature, one line each: its operations and its tables. */
import type { Migration } from "kysely/migration";
import * as approval from "./features/approval/index.ts";
import * as audit from "./features/audit/index.ts";
import * as backend from "./features/backend/index.ts";
import * as clipboard from "./features/clipboard/index.ts";
import * as config from "./features/config/index.ts";
import * as event from "./features/event/index.ts";
import * as git from "./features/git/index.ts";
import * as health from "./features/health/index.ts";
import * as later from "./features/later/index.ts";
import * as log from "./features/log/index.ts";
import * as project from "./features/project/index.ts";
import * as session from "./features/session/index.ts";
import * as skill from "./features/skill/index.ts";
import * as task from "./features/task/index.ts";
import * as token from "./features/token/index.ts";
import * as worktree from "./features/worktree/index.ts";
import { migrations as kernelMigrations } from "./kernel/migrations.ts";
import type { AnyOperation } from "./kernel/operation.ts";

const features = [
  approval,
  audit,
  backend,
  clipboard,
  config,
  event,
  git,
  health,
  later,
  log,
  project,
  session,
  skill,
  task,
  token,
  worktree,
];

export const operations: AnyOperation[] = features.flatMap((feature) => feature.operations as AnyOperation[]);

export const migrations: Record<string, Migration> = Object.assign(
  {},
  kernelMigrations,
  ...features.map((feature) => ("migrations" in feature ? feature.migrations : {})),
);
