import { Inject, Injectable, Module, type OnModuleInit } from '@nestjs/common';
import { LazyModuleLoader } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import {
  Cached,
  CacheGuard,
  CacheGuardModule,
  Invalidates,
  Refreshes,
  type CacheGuardModuleOptions,
  type CacheGuardOptionsFactory,
} from 'nestjs-cache-guard';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { systemClock } from '../../lib/adapters/system.js';
import { STORE } from '../../lib/nest/tokens.js';
import { uniqueNamespace } from '../support/namespace.js';
import { createApp, failureOf, startApp } from './support/app.js';
import { AwayStore } from './support/away-store.js';

@Injectable()
class Offers {
  loads = 0;

  @Cached({ domain: 'offers', key: (id: string) => id })
  async get(id: string): Promise<string> {
    return `${id} ${++this.loads}`;
  }

  @Invalidates({ domain: 'offers', key: (id: string) => id, mode: 'remove' })
  async change(_id: string): Promise<void> {}

  @Refreshes({ domain: 'offers', key: (id: string) => id })
  async set(id: string): Promise<string> {
    return `${id} set`;
  }
}

const options = (more: Partial<CacheGuardModuleOptions> = {}): CacheGuardModuleOptions => ({
  namespace: uniqueNamespace(),
  domains: { offers: { freshness: 'experience' } },
  ...more,
});

@Injectable()
class OptionsFactory implements CacheGuardOptionsFactory {
  createCacheGuardOptions(): CacheGuardModuleOptions {
    return options();
  }
}

@Module({ providers: [OptionsFactory], exports: [OptionsFactory] })
class OptionsModule {}

const startOffers = async (more: Partial<CacheGuardModuleOptions>) => {
  const made = await startApp({ imports: [CacheGuardModule.forRoot(options(more))], providers: [Offers] });
  return { ...made, offers: made.of<Offers>(Offers) };
};

describe('CacheGuardModule', () => {
  it.each([
    ['forRoot', () => CacheGuardModule.forRoot(options())],
    ['forRootAsync with a factory', () => CacheGuardModule.forRootAsync({ useFactory: () => options() })],
    [
      'forRootAsync with an injected factory',
      () =>
        CacheGuardModule.forRootAsync({
          imports: [OptionsModule],
          useFactory: async (factory: OptionsFactory) => factory.createCacheGuardOptions(),
          inject: [OptionsFactory],
        }),
    ],
    ['forRootAsync with a class', () => CacheGuardModule.forRootAsync({ useClass: OptionsFactory })],
    [
      'forRootAsync with what exists',
      () => CacheGuardModule.forRootAsync({ imports: [OptionsModule], useExisting: OptionsFactory }),
    ],
  ])('is configured by %s, and is global', async (_, root) => {
    @Module({ providers: [Offers], exports: [Offers] })
    class OffersModule {}

    const { of, guard } = await startApp({ imports: [root(), OffersModule] });
    const offers = of<Offers>(Offers);
    expect([await offers.get('a'), await offers.get('a')]).toEqual(['a 1', 'a 1']);
    expect(guard.policies().map(({ domain }) => domain)).toEqual(['offers']);
  });

  it('injects the guard by its class', async () => {
    @Injectable()
    class Worker {
      constructor(@Inject(CacheGuard) readonly cache: CacheGuard) {}
    }
    const { of, guard } = await startApp({ imports: [CacheGuardModule.forRoot(options())], providers: [Worker] });
    expect(of<Worker>(Worker).cache).toBe(guard);
  });

  it('lets bounded contexts bring their own policies', async () => {
    @Module({ imports: [CacheGuardModule.forFeature({ catalog: { freshness: 'reference', owner: 'catalog team' } })] })
    class CatalogModule {}

    @Module({ imports: [CacheGuardModule.forFeature({ cards: { freshness: 'critical' } })] })
    class CardsModule {}

    const { guard } = await startApp({ imports: [CatalogModule, CacheGuardModule.forRoot(options()), CardsModule] });
    expect(
      guard
        .policies()
        .map(({ domain }) => domain)
        .toSorted(),
    ).toEqual(['cards', 'catalog', 'offers']);
  });

  it('registers a feature once, however often it is imported', async () => {
    const feature = CacheGuardModule.forFeature({ catalog: { freshness: 'reference' } });

    @Module({ imports: [feature] })
    class CatalogModule {}

    @Module({ imports: [feature, CatalogModule] })
    class SearchModule {}

    const { guard } = await startApp({ imports: [CacheGuardModule.forRoot(options()), SearchModule] });
    expect(
      guard
        .policies()
        .map(({ domain }) => domain)
        .toSorted(),
    ).toEqual(['catalog', 'offers']);
  });

  it('serves modules that are loaded lazily, with their own policies', async () => {
    @Injectable()
    class Catalog {
      loads = 0;

      @Cached({ domain: 'catalog', key: () => 'all' })
      async all(): Promise<number> {
        return ++this.loads;
      }
    }

    @Module({ imports: [CacheGuardModule.forFeature({ catalog: { freshness: 'reference' } })], providers: [Catalog] })
    class CatalogModule {}

    const { app } = await startApp({ imports: [CacheGuardModule.forRoot(options())] });
    const lazy = await app.get(LazyModuleLoader).load(() => CatalogModule);
    const catalog = lazy.get(Catalog);
    expect([await catalog.all(), await catalog.all()]).toEqual([1, 1]);
  });

  it('may be imported again by its class where a root exists', async () => {
    @Module({ imports: [CacheGuardModule], providers: [Offers] })
    class OffersModule {}

    const { of } = await startApp({ imports: [CacheGuardModule.forRoot(options()), OffersModule] });
    const offers = of<Offers>(Offers);
    expect([await offers.get('a'), await offers.get('a')]).toEqual(['a 1', 'a 1']);
  });

  it('opens the store once before the application starts, and closes it once', async () => {
    const calls: string[] = [];

    @Injectable()
    class Warmer implements OnModuleInit {
      constructor(@Inject(Offers) private readonly offers: Offers) {}

      async onModuleInit(): Promise<void> {
        calls.push(await this.offers.get('a'), await this.offers.get('a'));
      }
    }

    @Module({ imports: [CacheGuardModule.forFeature({ other: { freshness: 'reference' } })] })
    class OtherModule {}

    const { app, guard } = await createApp({
      imports: [CacheGuardModule.forRoot(options()), OtherModule],
      providers: [Warmer, Offers],
    });
    for (const name of ['open', 'close'] as const) {
      const original = guard[name].bind(guard);
      guard[name] = () => {
        calls.push(name);
        return original();
      };
    }
    await app.init();
    await app.close();
    expect(calls).toEqual(['open', 'a 1', 'a 1', 'close']);
  });

  it('runs methods uncached before it has started and after it was closed', async () => {
    const { app, of } = await createApp({ imports: [CacheGuardModule.forRoot(options())], providers: [Offers] });
    const offers = of<Offers>(Offers);
    expect([await offers.get('a'), await offers.get('a')]).toEqual(['a 1', 'a 2']);
    await app.init();
    expect([await offers.get('a'), await offers.get('a')]).toEqual(['a 3', 'a 3']);
    await app.close();
    expect([await offers.get('a'), await offers.get('a')]).toEqual(['a 4', 'a 5']);
  });

  it('invalidates also for writes before it has started', async () => {
    const { events, of } = await createApp({ imports: [CacheGuardModule.forRoot(options())], providers: [Offers] });
    await of<Offers>(Offers).change('a');
    expect(events).toContainEqual(expect.objectContaining({ type: 'invalidation' }));
  });

  it('logs until it is closed, and not longer', async () => {
    const { app, guard, logs } = await startApp({ imports: [CacheGuardModule.forRoot(options())] }, (builder) =>
      builder.overrideProvider(STORE).useValue(new AwayStore({ clock: systemClock })),
    );
    const invalidate = () => guard.invalidate({ domain: 'offers', key: 'a' });
    expect(await invalidate()).toEqual({ outcome: 'pending' });
    const atOnce = logs.of('warn').length;
    await invalidate();
    expect(logs.of('warn')).toHaveLength(atOnce);
    await app.close();
    const closed = logs.of('warn').length;
    expect(closed).toBeGreaterThan(atOnce);
    expect(logs.of('warn')).toContainEqual(expect.stringContaining('lost with this process'));
    await failureOf(invalidate);
    expect(logs.of('warn')).toHaveLength(closed);
  });

  it('can be switched off at boot: reads are not cached, writes still invalidate', async () => {
    const { of, events } = await startApp({
      imports: [CacheGuardModule.forRoot(options({ enabled: false }))],
      providers: [Offers],
    });
    const offers = of<Offers>(Offers);
    expect([await offers.get('a'), await offers.get('a')]).toEqual(['a 1', 'a 2']);
    await offers.change('a');
    const invalidated = expect.objectContaining({ type: 'invalidation', outcome: 'applied' }) as object;
    expect(events).toEqual([invalidated]);
    expect(await offers.set('a')).toBe('a set');
    expect(events).toEqual([invalidated, invalidated]);
  });

  it('can be left out of an application: methods run uncached', async () => {
    const app = (await Test.createTestingModule({ providers: [Offers] }).compile()).createNestApplication();
    onTestFinished(() => app.close());
    await app.init();
    const offers = app.get(Offers);
    expect([await offers.get('a'), await offers.get('a')]).toEqual(['a 1', 'a 2']);
  });

  it('lets tests replace the guard', async () => {
    const fake = {
      on: () => () => {},
      open: async () => {},
      close: async () => {},
      getOrLoad: async () => 'from the fake',
    };
    const { of } = await startApp({ imports: [CacheGuardModule.forRoot(options())], providers: [Offers] }, (builder) =>
      builder.overrideProvider(CacheGuard).useValue(fake),
    );
    expect(await of<Offers>(Offers).get('a')).toBe('from the fake');
  });

  it('lets the options depend on a guarded class', async () => {
    @Injectable()
    class Secrets {
      @Cached({ domain: 'offers', key: () => 'secret' })
      async namespace(): Promise<string> {
        return uniqueNamespace();
      }
    }

    @Module({ providers: [Secrets], exports: [Secrets] })
    class SecretsModule {}

    const { of } = await startApp({
      imports: [
        CacheGuardModule.forRootAsync({
          imports: [SecretsModule],
          useFactory: async (secrets: Secrets) => options({ namespace: await secrets.namespace() }),
          inject: [Secrets],
        }),
      ],
    });
    const secrets = of<Secrets>(Secrets);
    expect(await secrets.namespace()).toBe(await secrets.namespace());
  });

  describe('two applications in one process', () => {
    it.each([
      ['memory', () => ({})],
      ['Redis', () => ({ redisUrl: inject('redisUrl') })],
    ])('share nothing in %s', async (_, store) => {
      const [one, two] = [await startOffers(store()), await startOffers(store())];
      expect([await one.offers.get('a'), await one.offers.get('a')]).toEqual(['a 1', 'a 1']);
      expect(await two.guard.peek({ domain: 'offers', key: 'a' })).toBeUndefined();
      expect([await two.offers.get('a'), await two.offers.get('b')]).toEqual(['a 1', 'b 2']);
      await two.offers.change('a');
      expect(await one.offers.get('a')).toBe('a 1');
      await one.app.close();
      expect(await two.offers.get('b')).toBe('b 2');
    });

    it('share their values where the namespace is the same', async () => {
      const shared = { redisUrl: inject('redisUrl'), namespace: uniqueNamespace() };
      const [one, two] = [await startOffers(shared), await startOffers(shared)];
      expect([await one.offers.get('a'), await two.offers.get('a')]).toEqual(['a 1', 'a 1']);
      expect(two.offers.loads).toBe(0);
    });
  });
});
