import {
  Inject,
  Injectable,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import type { Clock } from '../core/clock.js';
import { CacheGuardConfigError } from '../core/errors.js';
import { CacheGuard } from '../engine/cache-guard.js';
import { Domains } from '../engine/domains.js';
import { EngineSlot } from './engine-binding.js';
import { CacheGuardEventLogger } from './event-logger.js';
import { EventStarter } from './events/event-starter.js';
import { CacheGuardExplorer } from './explorer.js';
import { RequestScopes } from './http/request-scope.js';
import { RoutePlans } from './http/route-plans.js';
import type { Settings } from './options.js';
import { CLOCK, ENGINE_SLOT, SETTINGS } from './tokens.js';
import { WarmingStarter } from './warming/warming-starter.js';

/** Connects the engine with the application: once checked, it is opened; it is closed when HTTP has drained. */
@Injectable()
export class CacheGuardLifecycle implements OnModuleInit, OnApplicationBootstrap, OnApplicationShutdown {
  private readonly eventLogger: CacheGuardEventLogger;
  private readonly subscriptions: (() => void)[];

  constructor(
    @Inject(CacheGuard) private readonly guard: CacheGuard,
    @Inject(Domains) private readonly domains: Domains,
    @Inject(ENGINE_SLOT) private readonly slot: EngineSlot,
    @Inject(SETTINGS) private readonly settings: Settings,
    @Inject(CLOCK) clock: Clock,
    @Inject(CacheGuardExplorer) private readonly explorer: CacheGuardExplorer,
    @Inject(EventStarter) private readonly events: EventStarter,
    @Inject(WarmingStarter) private readonly warming: WarmingStarter,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
    @Inject(RequestScopes) private readonly scopes: RequestScopes,
    @Inject(RoutePlans) private readonly routes: RoutePlans,
  ) {
    this.eventLogger = new CacheGuardEventLogger(clock);
    // Every listener that the module brings along subscribes here.
    this.subscriptions = [guard.on((event) => this.eventLogger.log(event))];
    // Writes before the start must invalidate too; reads wait until everything is registered, and run uncached.
    this.bind(false);
  }

  onModuleInit(): Promise<void> {
    return this.orClose(async () => {
      this.refuseSecondRoot();
      this.explorer.explore();
      await this.events.configure();
      this.warming.configure();
      await this.guard.open({ scheduled: this.settings.role !== 'web' });
      this.bind(this.settings.enabled);
    });
  }

  onApplicationBootstrap(): Promise<void> {
    return this.orClose(async () => {
      this.explorer.tellUnloaded();
      await this.events.follow();
      await this.warming.start();
    });
  }

  /** Nest calls no hook of an application that could not be started: nobody else would end what is open by then. */
  private async orClose(start: () => Promise<void>): Promise<void> {
    try {
      await start();
    } catch (error) {
      await this.onApplicationShutdown();
      throw error;
    }
  }

  async onApplicationShutdown(): Promise<void> {
    this.warming.close();
    await this.guard.close();
    this.slot.close();
    for (const unsubscribe of this.subscriptions) unsubscribe();
    this.eventLogger.close();
  }

  private bind(caching: boolean): void {
    const { guard, domains, scopes, routes } = this;
    const principal = () => scopes.principal();
    this.slot.set({ guard, domains, principal, scopes, routes, afterCommit: this.settings.afterCommit, caching });
  }

  private refuseSecondRoot(): void {
    const roots = [...this.modules.values()].filter(({ providers }) => providers.has(ENGINE_SLOT));
    if (roots.length === 1) return;
    throw new CacheGuardConfigError(
      'CG_INVALID_OPTIONS',
      `CacheGuardModule.forRoot (or forRootAsync) is imported ${roots.length} times in one application; import it once, in the ` +
        'root module, and bring further domains with CacheGuardModule.forFeature.',
      { field: 'forRoot' },
    );
  }
}
