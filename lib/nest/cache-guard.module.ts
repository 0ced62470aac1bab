import { Inject, Module, Optional, type DynamicModule, type Provider } from '@nestjs/common';
import { APP_INTERCEPTOR, HttpAdapterHost } from '@nestjs/core';
import { makeBreaker } from '../adapters/breaker.js';
import { Codecs } from '../adapters/codecs/index.js';
import { systemClock, systemIds } from '../adapters/system.js';
import type { Clock } from '../core/clock.js';
import { CacheGuardConfigError } from '../core/errors.js';
import type { Ids } from '../core/ids.js';
import type { DomainPolicies } from '../core/policy.js';
import type { Store } from '../core/store.js';
import { CacheGuard } from '../engine/cache-guard.js';
import { Domains } from '../engine/domains.js';
import { CacheGuardMetrics } from '../telemetry/metrics.js';
import { featureModule, type FeatureOptions } from './cache-guard-feature.module.js';
import { CacheGuardLifecycle } from './cache-guard.lifecycle.js';
import {
  CACHE_GUARD_OPTIONS,
  ConfigurableCacheGuardModule,
  type CacheGuardModuleAsyncOptions,
} from './cache-guard.module-definition.js';
import { EngineSlot } from './engine-binding.js';
import { EventStarter } from './events/event-starter.js';
import { HandledEvents } from './events/handled-events.js';
import { RuleBook } from './events/rule-book.js';
import { CacheGuardExplorer } from './explorer.js';
import { hookFastify } from './http/answer-hooks.js';
import { CacheGuardInterceptor } from './http/cache-guard.interceptor.js';
import { RequestScopes } from './http/request-scope.js';
import { RouteMounts } from './http/route-mounts.js';
import { RoutePlans } from './http/route-plans.js';
import { httpThrown } from './http-thrown.js';
import { readOptions, type CacheGuardModuleOptions, type Settings } from './options.js';
import { makeStore } from './store-factory.js';
import { CLOCK, ENGINE_SLOT, IDS, SETTINGS, STORE } from './tokens.js';
import { WarmingStarter } from './warming/warming-starter.js';

const providers: Provider[] = [
  { provide: ENGINE_SLOT, useFactory: () => new EngineSlot() },
  { provide: Domains, useFactory: () => new Domains() },
  { provide: CLOCK, useValue: systemClock },
  { provide: IDS, useFactory: systemIds },
  {
    provide: SETTINGS,
    useFactory: (options: CacheGuardModuleOptions, domains: Domains, book: RuleBook): Settings => {
      const settings = readOptions(options);
      domains.register(settings.domains, 'CacheGuardModule.forRoot');
      book.add(settings.events.rules);
      return settings;
    },
    inject: [CACHE_GUARD_OPTIONS, Domains, RuleBook],
  },
  {
    provide: STORE,
    useFactory: (settings: Settings, clock: Clock, ids: Ids) => makeStore(settings, clock, ids),
    inject: [SETTINGS, CLOCK, IDS],
  },
  {
    provide: CacheGuard,
    useFactory: (
      domains: Domains,
      store: Store,
      clock: Clock,
      ids: Ids,
      { principal: asked, keySecret, sealer }: Settings,
      scopes: RequestScopes,
    ) => {
      const principal = asked && (() => scopes.principal());
      const common = { domains, store, clock, ids, codecs: new Codecs(), thrown: httpThrown, makeBreaker };
      return new CacheGuard({ ...common, principal, keySecret, sealer });
    },
    inject: [Domains, STORE, CLOCK, IDS, SETTINGS, RequestScopes],
  },
  {
    provide: CacheGuardMetrics,
    useFactory: (guard: CacheGuard) => new CacheGuardMetrics(guard),
    inject: [CacheGuard],
  },
  {
    provide: RequestScopes,
    useFactory: (settings: Settings) => new RequestScopes(settings.principal),
    inject: [SETTINGS],
  },
  { provide: APP_INTERCEPTOR, useClass: CacheGuardInterceptor },
  RuleBook,
  RouteMounts,
  RoutePlans,
  EventStarter,
  HandledEvents,
  WarmingStarter,
  CacheGuardExplorer,
  CacheGuardLifecycle,
];

/**
 * Freshness, stampede protection and invalidation of cached values, by the policies of bounded contexts.
 *
 * Import `forRoot` or `forRootAsync` once; the module is global. A bounded context brings its own policies with `forFeature`.
 */
@Module({})
export class CacheGuardModule extends ConfigurableCacheGuardModule {
  constructor(
    @Optional() @Inject(ENGINE_SLOT) slot?: EngineSlot,
    @Optional() @Inject(HttpAdapterHost) private readonly host?: HttpAdapterHost,
  ) {
    super();
    if (slot) return;
    throw new CacheGuardConfigError(
      'CG_INVALID_OPTIONS',
      'CacheGuardModule is imported without options; import CacheGuardModule.forRoot({ namespace, … }) or forRootAsync.',
      { field: 'forRoot' },
    );
  }

  /** Nest's own hook, before routes are registered. */
  configure(): void {
    if (this.host) hookFastify(this.host);
  }

  /**
   * The guard of the application.
   *
   * @throws CacheGuardConfigError when the application is created (`CG_INVALID_OPTIONS`, `CG_INVALID_POLICY`,
   * `CG_DUPLICATE_DOMAIN`, `CG_MISSING_PEER`) or initialised (`CG_UNKNOWN_DOMAIN`, `CG_INVALID_POLICY`, `CG_NAME_CLASH`,
   * `CG_INVALID_OPTIONS` for a second root)
   */
  static override forRoot(options: CacheGuardModuleOptions): DynamicModule {
    return asRoot(super.forRoot(options));
  }

  /** As `forRoot`, with options from a factory, a class or an existing provider. */
  static override forRootAsync(options: CacheGuardModuleAsyncOptions): DynamicModule {
    return asRoot(super.forRootAsync(options));
  }

  /**
   * Registers the policies of a bounded context from its own module, and the rules by which domain events concern them. Everyone can
   * use the domains, and only one module may register a domain.
   *
   * @throws CacheGuardConfigError at once (`CG_INVALID_OPTIONS` for the second parameter), and when the application is created
   * (`CG_INVALID_POLICY`, `CG_DUPLICATE_DOMAIN`, `CG_INVALID_RULE`; `CG_INVALID_OPTIONS` without a root)
   */
  static forFeature(policies: DomainPolicies, options: FeatureOptions = {}): DynamicModule {
    return featureModule(policies, options);
  }
}

function asRoot(definition: DynamicModule): DynamicModule {
  return {
    ...definition,
    global: true,
    providers: [...(definition.providers ?? []), ...providers],
    exports: [CacheGuard, CacheGuardMetrics, Domains, RuleBook, HandledEvents, ENGINE_SLOT],
  };
}
