import { Inject, Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { Clock } from '../../core/clock.js';
import type { Ids } from '../../core/ids.js';
import { CacheGuard } from '../../engine/cache-guard.js';
import type { Settings } from '../options.js';
import { CLOCK, IDS, SETTINGS } from '../tokens.js';
import { RuleBook } from './rule-book.js';
import type { SourceEnvironment } from './source-environment.js';

/** Connects an application's rules and event sources with the engine. */
@Injectable()
export class EventStarter {
  constructor(
    @Inject(CacheGuard) private readonly guard: CacheGuard,
    @Inject(SETTINGS) private readonly settings: Settings,
    @Inject(RuleBook) private readonly rules: RuleBook,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(IDS) private readonly ids: Ids,
    @Inject(ModuleRef) private readonly moduleRef: ModuleRef,
  ) {}

  /** @throws CacheGuardConfigError (`CG_UNKNOWN_DOMAIN`, `CG_INVALID_RULE`) */
  configure(): void {
    const { mergeWindowMs } = this.settings.events;
    this.guard.events.configure({ rules: this.rules.list(), mergeWindowMs, refreshes: { enqueue: async () => {} } });
  }

  /** @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`, `CG_INVALID_RULE`, `CG_MISSING_PEER`) */
  async follow(): Promise<void> {
    const environment = this.environment();
    const given = this.settings.events.sources;
    const sources = await Promise.all(given.map(async (one) => (typeof one === 'function' ? one(environment) : one)));
    await this.guard.events.follow(sources);
  }

  private environment(): SourceEnvironment {
    const { namespace, connect, commandTimeoutMs } = this.settings;
    const { clock, ids, moduleRef } = this;
    return {
      namespace,
      connect,
      commandTimeoutMs,
      clock,
      ids,
      resolve: (token) => moduleRef.get(token, { strict: false }),
    };
  }
}
