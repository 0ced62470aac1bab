import { Injectable, Scope, type ModuleMetadata } from '@nestjs/common';
import { Cached, CacheGuard, CacheGuardModule, Warmed, type CacheGuardModuleOptions } from 'nestjs-cache-guard';
import { describe, expect, inject, it, onTestFinished, vi } from 'vitest';
import { uniqueNamespace } from '../support/namespace.js';
import { startRedis } from '../support/redis-server.js';
import { createApp, failureOf, gate, startApp, type TestApp } from './support/app.js';

const domains = { offers: { freshness: 'reference', jitter: 0 }, cards: { freshness: 'reference' } } as const;

@Injectable()
class Segments {
  async *all() {
    yield* ['gold', 'silver'];
  }
}

@Injectable()
class Offers {
  readonly loads: string[] = [];
  /** What a load waits for. */
  until: Promise<void> = Promise.resolve();

  @Cached({ domain: 'offers', tags: (segment: string) => [segment] })
  async find(segment: string): Promise<string> {
    this.loads.push(segment);
    await this.until;
    return `${segment} ${this.loads.length}`;
  }

  async plain(segment: string): Promise<string> {
    return segment;
  }
}

@Injectable()
class Cards {
  readonly mine = ['visa', 'debit'];
  loads = 0;

  @Warmed<Cards>({ args: (cards) => cards.mine.map((card) => [card]), gate: true })
  @Cached({ domain: 'cards' })
  async above(card: string): Promise<string> {
    this.loads++;
    return card;
  }

  @Cached({ domain: 'cards' })
  @Warmed({ name: 'below', args: [['visa']], gate: true })
  async below(card: string): Promise<string> {
    this.loads++;
    return card;
  }
}

const offers = { name: 'offers', domain: 'offers', method: [Offers, 'find'], args: [['gold'], ['silver']] } as const;

function root(options: Partial<CacheGuardModuleOptions>, ...providers: NonNullable<ModuleMetadata['providers']>) {
  const namespace = uniqueNamespace('warming');
  return {
    imports: [CacheGuardModule.forRoot({ namespace, domains, ...options })],
    providers: [Offers, Segments, ...providers],
  };
}

const over = ({ events }: TestApp, times = 1) =>
  vi.waitFor(() => {
    const ends = events.filter((event) => event.type === 'warming' && event.state !== 'running');
    expect(ends.length).toBeGreaterThanOrEqual(times);
    return ends;
  }, 15_000);

describe.each(['memory', 'redis'])('an application on %s', (store) => {
  const connect = () => (store === 'redis' ? { redisUrl: inject('redisUrl') } : {});

  it('warms a method by its provider, behind its start', async () => {
    const app = await createApp(root({ ...connect(), warming: [offers] }));
    const { open, passed } = gate();
    app.of<Offers>(Offers).until = passed;
    await app.app.init();
    expect(app.events.filter(({ type }) => type === 'accepted')).toEqual([]);
    open();
    expect(await over(app)).toMatchObject([{ name: 'offers', domain: 'offers', state: 'done', done: 2, total: 2 }]);
    expect(await app.of<Offers>(Offers).find('gold')).toMatch(/^gold/);
    expect(app.of<Offers>(Offers).loads).toEqual(['gold', 'silver']);
    // By its own key and tags.
    await app.guard.invalidateTags({ domain: 'offers', tags: ['gold'] });
    expect(await app.of<Offers>(Offers).find('gold')).toBeDefined();
    await vi.waitFor(() => expect(app.of<Offers>(Offers).loads).toEqual(['gold', 'silver', 'gold']));
  });

  it('is not ready before a gated one is done', async () => {
    const app = await createApp(root({ ...connect(), warming: [{ ...offers, gate: true }] }));
    const { open, passed } = gate();
    app.of<Offers>(Offers).until = passed;
    let ready = false;
    const init = app.app.init().then(() => (ready = true));
    await vi.waitFor(() => expect(app.of<Offers>(Offers).loads).toHaveLength(2));
    expect(ready).toBe(false);
    open();
    await init;
    expect(await over(app)).toMatchObject([{ state: 'done', done: 2 }]);
  });

  it('warms keys by a loader, with providers of the application, in tiers', async () => {
    const keys = ({ resolve }: { resolve: CallableFunction }) => (resolve(Segments) as Segments).all();
    const byHand = {
      keys,
      load: (segment: string, _: unknown, { resolve }: { resolve: CallableFunction }) =>
        (resolve(Offers) as Offers).plain(`by hand ${segment}`),
    };
    const tiers = [byHand, { method: [Offers, 'find'] as const, args: [['tin']] }];
    const app = await startApp(root({ ...connect(), warming: [{ name: 'all', domain: 'offers', gate: true, tiers }] }));
    expect(await over(app)).toMatchObject([{ state: 'done', done: 3 }]);
    expect(await app.guard.peek({ domain: 'offers', key: 'silver' })).toMatchObject({ value: 'by hand silver' });
  });

  it('warms decorated methods, from what their object says', async () => {
    const app = await startApp(root(connect(), Cards));
    expect(await over(app, 2)).toMatchObject([{ state: 'done' }, { state: 'done' }]);
    const cards = app.of<Cards>(Cards);
    expect(cards.loads).toBe(3);
    expect([await cards.above('debit'), await cards.below('visa')]).toEqual(['debit', 'visa']);
    expect(cards.loads).toBe(3);
    const names = app.events.flatMap((event) => (event.type === 'warming' ? [event.name] : []));
    expect(new Set(names)).toEqual(new Set(['Cards.above', 'below']));
  });
});

describe('the start of an application', () => {
  it('waits for what another process warms, and no longer than it says', async () => {
    const shared = { namespace: uniqueNamespace('warming'), redisUrl: inject('redisUrl') };
    const one = await createApp(root({ ...shared, warming: [offers] }));
    const { open, passed } = gate();
    one.of<Offers>(Offers).until = passed;
    await one.app.init();
    await vi.waitFor(() => expect(one.of<Offers>(Offers).loads).toHaveLength(2));

    const hasty = await startApp(root({ ...shared, warming: [{ ...offers, gate: true, gateTimeout: 50 }] }));
    expect(hasty.logs.of('warn')).toEqual([
      expect.stringMatching(/^Warming 'offers' is not done after 0\.05 s: the application starts/),
    ]);
    const two = await createApp(root({ ...shared, warming: [{ ...offers, gate: true }] }));
    const asked = vi.spyOn(two.guard, 'warm');
    let ready = false;
    const init = two.app.init().then(() => (ready = true));
    // It has asked, was told that another process is at it, and asks again.
    await vi.waitFor(() => expect(asked).toHaveBeenCalledTimes(2));
    expect(ready).toBe(false);
    open();
    await init;
    expect(await over(two)).toMatchObject([{ state: 'done', done: 0, skipped: 2 }]);
    expect([hasty, two].flatMap((app) => app.of<Offers>(Offers).loads)).toEqual([]);
  });

  it('is not held up by a store that is away', async () => {
    const warming = [{ ...offers, gate: true }];
    const app = await startApp(root({ redisUrl: 'redis://127.0.0.1:1', commandTimeout: '200ms', warming }));
    expect(await over(app)).toMatchObject([{ state: 'failed', done: 0 }]);
    expect(app.logs.of('warn')).toContainEqual(
      expect.stringMatching(/^Warming 'offers' of domain 'offers' has failed/),
    );
  });

  it('warms nothing where caching is off', async () => {
    const app = await startApp(root({ enabled: false, warming: [{ ...offers, gate: true }] }, Cards));
    expect([app.of<Offers>(Offers).loads, app.of<Cards>(Cards).loads]).toEqual([[], 0]);
  });
});

describe('later', () => {
  it('it warms again every so often, one process for all, until the application ends', async () => {
    const shared = { namespace: uniqueNamespace('warming'), redisUrl: inject('redisUrl') };
    const warming = [{ ...offers, every: '1s', atStart: false } as const];
    const apps = await Promise.all([1, 2].map(() => startApp(root({ ...shared, warming }))));
    await vi.waitFor(
      () => expect(apps.flatMap(({ events }) => events.filter(({ type }) => type === 'warming'))).toHaveLength(2),
      5_000,
    );
    const done = apps.flatMap(({ events }) =>
      events.filter((event) => event.type === 'warming' && event.state === 'done'),
    );
    expect(done).toMatchObject([{ done: 2 }]);
    await apps[0]!.guard.invalidateDomain('offers', { mode: 'remove' });
    await vi.waitFor(() => expect(apps.flatMap((app) => app.of<Offers>(Offers).loads)).toHaveLength(4), 5_000);
    const vain = apps.flatMap(({ events }) => events.filter((event) => event.type === 'warming' && event.skipped > 0));
    expect(vain).toEqual([]);
  });

  it('it warms again after the store has lost everything', async () => {
    const server = await startRedis();
    onTestFinished(() => server.stop());
    const url = { redisUrl: `redis://127.0.0.1:${server.port}`, commandTimeout: '400ms' } as const;
    const app = await startApp(root({ ...url, warming: [{ ...offers, gate: true, afterLoss: true }] }));
    expect(app.of<Offers>(Offers).loads).toHaveLength(2);
    await server.kill();
    await vi.waitFor(
      () => expect(app.events).toContainEqual(expect.objectContaining({ type: 'store-state', state: 'away' })),
      5_000,
    );
    await server.restart();
    expect((await over(app, 2)).at(-1)).toMatchObject({ state: 'done', done: 2 });
    expect(app.of<Offers>(Offers).loads).toHaveLength(4);
  });
});

describe('refused at boot', () => {
  @Injectable({ scope: Scope.REQUEST })
  class PerRequest {
    @Warmed({ args: [] })
    @Cached({ domain: 'cards' })
    async find(): Promise<number> {
      return 1;
    }
  }

  @Injectable()
  class Uncached {
    @Warmed({ args: [] })
    async find(): Promise<number> {
      return 1;
    }
  }

  function* once() {
    yield ['gold'];
  }

  it.each<[string, unknown, string, string]>([
    ['no list', 'offers', 'CG_INVALID_OPTIONS', 'options'],
    ['no object', [1], 'CG_INVALID_OPTIONS', 'options'],
    ['an unknown field', [{ ...offers, gates: true }], 'CG_INVALID_OPTIONS', 'gates'],
    ['no name', [{ ...offers, name: '' }], 'CG_INVALID_OPTIONS', 'name'],
    ['a name twice', [offers, offers], 'CG_INVALID_OPTIONS', 'name'],
    ['an unknown domain', [{ name: 'a', domain: 'ofers', keys: [], load: async () => 1 }], 'CG_UNKNOWN_DOMAIN', ''],
    ['the domain of another method', [{ ...offers, domain: 'cards' }], 'CG_INVALID_OPTIONS', 'domain'],
    ['a method that is not cached', [{ ...offers, method: [Offers, 'plain'] }], 'CG_INVALID_OPTIONS', 'method'],
    ['a class that is no provider', [{ ...offers, method: [Cards, 'above'] }], 'CG_INVALID_OPTIONS', 'method'],
    ['a method by its name alone', [{ ...offers, method: 'find' }], 'CG_INVALID_OPTIONS', 'method'],
    ['no argument lists', [{ ...offers, args: 'gold' }], 'CG_INVALID_OPTIONS', 'args'],
    ['a gate of what starts later', [{ ...offers, gate: true, atStart: false }], 'CG_INVALID_OPTIONS', 'gate'],
    ['a bad flag', [{ ...offers, gate: 1 }], 'CG_INVALID_OPTIONS', 'gate'],
    ['a bad time', [{ ...offers, gateTimeout: 'soon' }], 'CG_INVALID_OPTIONS', 'gateTimeout'],
    ['too short a pause', [{ ...offers, every: 10 }], 'CG_INVALID_OPTIONS', 'every'],
    [
      'an iterator that is to be used twice',
      [{ ...offers, args: once(), afterLoss: true }],
      'CG_INVALID_OPTIONS',
      'every',
    ],
    ['tiers that are none', [{ name: 'a', domain: 'offers', tiers: 'gold' }], 'CG_INVALID_OPTIONS', 'tiers'],
  ])('%s', async (_, warming, code, field) => {
    const failure = await failureOf(() => startApp(root({ warming: warming as never })));
    expect(failure).toMatchObject({ code });
    if (field)
      expect(failure).toMatchObject({ field: `warming.${field}`, message: expect.stringMatching(/is refused/) });
  });

  it.each([PerRequest, Uncached])('@Warmed on %o', async (type) => {
    expect(await failureOf(() => startApp(root({}, type)))).toMatchObject({ code: 'CG_INVALID_DECORATION' });
  });

  it('@Warmed on what is no method of an object', () => {
    const refused = expect.objectContaining({ code: 'CG_INVALID_DECORATION' });
    expect(() => Warmed({ args: [] })(Offers, 'find', {})).toThrow(refused);
    expect(() => Warmed({ args: [] })(Offers.prototype, 'field', undefined as never)).toThrow(refused);
    expect(CacheGuard).toBeDefined();
  });
});
