import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { AppProcess, ConfirmedWrite } from './app.js';
import { elapsedMs, type CrowdPlan } from './crowd.js';
import type { ProcessConfig } from './demo.module.js';
import { measure, type Row } from './measure.js';
import type { DemoOptions } from './options.js';
import type { OriginProcess } from './origin.js';
import { Child } from './rpc.js';
import type { Mode, Scenario } from './scenarios.js';

/** From "all are ready" to the common start; long enough for every process to get the message. */
const NOTICE_MS = 100;

/** The origin, the application processes, and the Redis that they share. */
export class Fleet {
  private constructor(
    private readonly options: DemoOptions,
    private readonly redis: Redis,
    private readonly origin: Child<OriginProcess>,
    private readonly apps: readonly Child<AppProcess>[],
    private readonly warn: (line: string) => void,
  ) {}

  static async start(
    options: DemoOptions,
    redisUrl: string,
    redis: Redis,
    warn: (line: string) => void,
  ): Promise<Fleet> {
    const origin = Child.start<OriginProcess>('origin', './origin.js', {});
    const config: ProcessConfig = { ...options, redisUrl, originPort: await origin.call('port') };
    const env = { DEMO_CONFIG: JSON.stringify(config) };
    const apps = Array.from({ length: options.processes }, (_, i) =>
      Child.start<AppProcess>(`application ${i + 1}`, './app.js', env),
    );
    await Promise.all(apps.map((app) => app.call('commands')));
    return new Fleet(options, redis, origin, apps, warn);
  }

  async run(scenario: Scenario, mode: Mode): Promise<Row> {
    const { apps, origin, options } = this;
    const { domain, windowMs, disturbance } = scenario;
    const ids = Array.from({ length: scenario.keys }, (_, i) => `${slug(scenario.name)}-${mode}-${i}`);
    await origin.call('begin', 0);
    if (scenario.warm) await apps[0]!.call('warm', mode, domain, ids);
    await origin.call('begin', options.originMs);

    const plan: CrowdPlan = { domain, ids, readers: options.readers, windowMs };
    await Promise.all(apps.map((app) => app.call('arm', mode, plan)));
    const startMs = elapsedMs() + NOTICE_MS;
    const [logs, writes] = await Promise.all([
      Promise.all(apps.map((app) => app.call('go', startMs))),
      disturbance && this.disturb(disturbance.kind, disturbance.atMs, startMs, mode, scenario, ids),
    ]);

    const counts = await this.whenIdle();
    for (const error of new Set(logs.flatMap((log) => log.errors))) this.warn(`  a reader got ${error}`);
    const commands = logs.reduce((total, log) => total + log.commands, 0);
    const confirmed = disturbance?.kind === 'write' ? writes : undefined;
    return measure({ scenario: scenario.name, mode, ids, logs, writes: confirmed, counts, commands });
  }

  async stop(): Promise<void> {
    await Promise.all([...this.apps, this.origin].map((child) => child.stop()));
  }

  /** Refreshes may still be running, or queueing, behind the last reader. */
  private async whenIdle(): Promise<Awaited<ReturnType<OriginProcess['counts']>>> {
    for (;;) {
      await sleep(this.options.originMs / 2);
      const counts = await this.origin.call('counts');
      if (counts.running === 0) return counts;
    }
  }

  /** The processes take turns in writing. */
  private async disturb(
    kind: 'write' | 'flush',
    timesMs: readonly number[],
    startMs: number,
    mode: Mode,
    { domain }: Scenario,
    ids: readonly string[],
  ): Promise<ConfirmedWrite[]> {
    const writes: ConfirmedWrite[] = [];
    for (const [turn, atMs] of timesMs.entries()) {
      await sleep(Math.max(0, startMs + atMs - elapsedMs()));
      if (kind === 'flush') await this.redis.flushall();
      else writes.push(await this.apps[turn % this.apps.length]!.call('write', mode, domain, ids[turn % ids.length]!));
    }
    return writes;
  }
}

function slug(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]+/g, '-');
}
