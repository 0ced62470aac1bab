import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { commandsSent, countCommands } from './command-count.js';
import { elapsedMs, runCrowd, type CrowdLog, type CrowdPlan } from './crowd.js';
import { DemoModule, type ProcessConfig } from './demo.module.js';
import { GuardedItems } from './guarded-items.js';
import type { Items } from './items.js';
import type { Domain } from './policies.js';
import { serve } from './rpc.js';
import type { Mode } from './scenarios.js';
import { UnguardedItems } from './unguarded-items.js';

/** One process of the fleet: a Nest application that reads, guarded or not, when it is told to. */

export interface ConfirmedWrite {
  readonly id: string;
  readonly version: number;
  /** When the writer knew that both the write and what it does to the cache were done. */
  readonly confirmedMs: number;
}

countCommands();
const config = JSON.parse(process.env['DEMO_CONFIG'] ?? '{}') as ProcessConfig;
const app = await NestFactory.createApplicationContext(DemoModule.register(config), { logger: ['error', 'warn'] });
const items: Readonly<Record<Mode, Items>> = { guarded: app.get(GuardedItems), unguarded: app.get(UnguardedItems) };
let armed: { readonly mode: Mode; readonly plan: CrowdPlan } | undefined;

const functions = {
  warm: async (mode: Mode, domain: Domain, ids: readonly string[]): Promise<void> => {
    await Promise.all(ids.map((id) => items[mode].read(domain, id)));
  },
  /** First half of the barrier: returns once the process has nothing left to do but start. */
  arm: (mode: Mode, plan: CrowdPlan): void => {
    armed = { mode, plan };
  },
  /** Second half: all processes are given the same instant. */
  go: async (startMs: number): Promise<CrowdLog & { readonly commands: number }> => {
    if (!armed) throw new Error('arm() comes first');
    const before = commandsSent();
    const log = await runCrowd(items[armed.mode], armed.plan, startMs);
    return { ...log, commands: commandsSent() - before };
  },
  write: async (mode: Mode, domain: Domain, id: string): Promise<ConfirmedWrite> => {
    const { version } = await items[mode].write(domain, id);
    return { id, version, confirmedMs: elapsedMs() };
  },
  commands: () => commandsSent(),
};

export type AppProcess = typeof functions;

serve(functions, () => app.close());
