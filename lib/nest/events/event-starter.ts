import { Inject, Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { Clock } from '../../core/clock.js';
import type { Ids } from '../../core/ids.js';
import type { Store } from '../../core/store.js';
import { CacheGuard } from '../../engine/cache-guard.js';
import type { Settings } from '../options.js';
import { CLOCK, IDS, SETTINGS, STORE } from '../tokens.js';
import { eventsOf } from './events-of.js';
import { FleetRefreshes } from './fleet-refreshes.js';
import { RuleBook } from './rule-book.js';
import type { SourceEnvironment } from './source-environment.js';

/** Connects an application's rules and event sources with the engine. */
@Injectable()
export class EventStarter {
  /** `undefined`: refreshes are done where their events are. */
  private refreshes: FleetRefreshes | undefined;

  constructor(
    @Inject(CacheGuard) private readonly guard: CacheGuard,
    @Inject(SETTINGS) private readonly settings: Settings,
    @Inject(RuleBook) private readonly rules: RuleBook,
    @Inject(STORE) private readonly store: Store,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(IDS) private readonly ids: Ids,
    @Inject(ModuleRef) private readonly moduleRef: ModuleRef,
  ) {}

  /** @throws CacheGuardConfigError (`CG_UNKNOWN_DOMAIN`, `CG_INVALID_RULE`, `CG_MISSING_PEER`) */
  async configure(): Promise<void> {
    const guarded = eventsOf(this.guard);
    if (!guarded) return;
    const { connect, role, events } = this.settings;
    const { mergeWindowMs } = events;
    const rules = this.rules.list();
    const { refreshes: local } = guarded;
    const refreshing = role === 'worker' || rules.some(({ action }) => action === 'refresh');
    if (connect && refreshing) {
      this.refreshes = await FleetRefreshes.over(connect, this.environment(), local, this.store);
    }
    guarded.configure({ rules, mergeWindowMs, refreshes: this.refreshes ?? local });
  }

  /** @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`, `CG_INVALID_RULE`, `CG_MISSING_PEER`) */
  async follow(): Promise<void> {
    const environment = this.environment();
    const given = this.settings.events.sources;
    const sources = await Promise.all(given.map(async (one) => (typeof one === 'function' ? one(environment) : one)));
    const works = this.settings.role !== 'web' && this.store.remote;
    await eventsOf(this.guard)?.follow(
      sources,
      this.rules.handledSources(),
      works ? this.refreshes?.source : undefined,
    );
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
