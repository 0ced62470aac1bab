import { forwardRef, Inject, Injectable, Module, Scope, type DynamicModule, type Provider } from '@nestjs/common';
import { ContextIdFactory, ModuleRef, REQUEST } from '@nestjs/core';
import { Cached, CacheGuardModule, Invalidates } from 'nestjs-cache-guard';
import { describe, expect, it } from 'vitest';
import { uniqueNamespace } from '../support/namespace.js';
import { startApp, visibleKeys } from './support/app.js';

const OFFERS = 'offers that a factory makes';

const root = (): DynamicModule =>
  CacheGuardModule.forRoot({
    namespace: uniqueNamespace(),
    domains: { offers: { freshness: 'experience' }, prices: { freshness: 'critical' } },
  });

let loads = 0;

@Injectable()
class Offers {
  @Cached({ domain: 'offers', key: (id: string) => id })
  async get(id: string): Promise<string> {
    return `${id} ${++loads}`;
  }
}

/** Makes one call twice; whether it was cached. */
async function isCached(offers: Offers): Promise<boolean> {
  return (await offers.get('a')) === (await offers.get('a'));
}

describe('the object that a guarded method belongs to', () => {
  it.each<[string, Provider]>([
    ['a class', { provide: OFFERS, useClass: Offers }],
    ['a value', { provide: OFFERS, useValue: new Offers() }],
    ['a frozen value', { provide: OFFERS, useValue: Object.freeze(new Offers()) }],
    ['a factory', { provide: OFFERS, useFactory: () => new Offers() }],
    ['an asynchronous factory', { provide: OFFERS, useFactory: async () => new Offers() }],
    ['a proxy', { provide: OFFERS, useFactory: () => new Proxy(new Offers(), {}) }],
  ])('may be made by %s', async (_, provider) => {
    const { of } = await startApp({ imports: [root()], providers: [provider] });
    const offers = of<Offers>(OFFERS);
    expect(await isCached(offers)).toBe(true);
    expect(visibleKeys(offers)).toEqual([]);
  });

  it('may have another name', async () => {
    const alias = { provide: OFFERS, useExisting: Offers };
    const { of } = await startApp({ imports: [root()], providers: [Offers, alias] });
    expect(await isCached(of<Offers>(OFFERS))).toBe(true);
  });

  it('may freeze itself', async () => {
    @Injectable()
    class Frozen extends Offers {
      constructor() {
        super();
        Object.freeze(this);
      }
    }
    const { of } = await startApp({ imports: [root()], providers: [Frozen] });
    expect(await isCached(of<Frozen>(Frozen))).toBe(true);
  });

  it.each<[string, Provider]>([
    ['a class', { provide: OFFERS, useClass: Offers, scope: Scope.REQUEST }],
    ['a factory', { provide: OFFERS, useFactory: () => new Offers(), scope: Scope.REQUEST }],
    ['an asynchronous factory', { provide: OFFERS, useFactory: async () => new Offers(), scope: Scope.REQUEST }],
    ['a factory that is given the request', { provide: OFFERS, useFactory: () => new Offers(), inject: [REQUEST] }],
    ['a class, for each consumer', { provide: OFFERS, useClass: Offers, scope: Scope.TRANSIENT }],
    ['a factory, for each consumer', { provide: OFFERS, useFactory: () => new Offers(), scope: Scope.TRANSIENT }],
  ])('may be made anew by %s', async (_, provider) => {
    const { app } = await startApp({ imports: [root()], providers: [provider] });
    const one = await app.resolve<Offers>(OFFERS, ContextIdFactory.create());
    const two = await app.resolve<Offers>(OFFERS, ContextIdFactory.create());
    expect(one).not.toBe(two);
    expect(await one.get('b')).toBe(await two.get('b'));
  });

  it.each<[string, Provider]>([
    ['class', { provide: OFFERS, useClass: Offers, scope: Scope.TRANSIENT }],
    ['factory', { provide: OFFERS, useFactory: () => new Offers(), scope: Scope.TRANSIENT }],
  ])('may be made for a singleton by a transient %s', async (_, provider) => {
    @Injectable()
    class Consumer {
      constructor(@Inject(OFFERS) readonly offers: Offers) {}
    }
    const { of } = await startApp({ imports: [root()], providers: [provider, Consumer] });
    expect(await isCached(of<Consumer>(Consumer).offers)).toBe(true);
  });

  it('may be made by hand, by Nest’s ModuleRef', async () => {
    const { app } = await startApp({ imports: [root()] });
    expect(await isCached(await app.get(ModuleRef).create(Offers))).toBe(true);
  });

  it('may be part of a circle', async () => {
    @Injectable()
    class One extends Offers {
      @Inject(forwardRef(() => Two)) readonly two!: unknown;
    }
    @Injectable()
    class Two {
      constructor(@Inject(forwardRef(() => One)) readonly one: unknown) {}

      @Cached({ domain: 'prices', key: (id: string) => id })
      async get(id: string): Promise<string> {
        return `${id} ${++loads}`;
      }
    }
    const { of } = await startApp({ imports: [root()], providers: [One, Two] });
    expect(await isCached(of<One>(One))).toBe(true);
    expect(await isCached(of<Two>(Two))).toBe(true);
  });

  it('belongs to the application that took it first, as long as that runs', async () => {
    const shared = new Offers();
    const metadata = () => ({ imports: [root()], providers: [{ provide: OFFERS, useValue: shared }] });
    const first = await startApp(metadata());
    const second = await startApp(metadata());
    expect(second.logs.of('warn')).toEqual([expect.stringMatching(new RegExp(`${OFFERS}.*another application`))]);
    await shared.get('c');
    expect(await first.guard.peek({ domain: 'offers', key: 'c' })).toBeDefined();
    expect(await second.guard.peek({ domain: 'offers', key: 'c' })).toBeUndefined();

    await Promise.all([first.app.close(), second.app.close()]);
    const third = await startApp(metadata());
    expect(third.logs.of('warn')).toEqual([]);
    expect(await isCached(shared)).toBe(true);
  });

  it('may be the same class in two modules, if it shares', async () => {
    @Injectable()
    class Shared {
      @Cached({ domain: 'offers', key: (id: string) => id, shared: true })
      async get(id: string): Promise<string> {
        return `${id} ${++loads}`;
      }
    }
    @Module({ providers: [Shared] })
    class One {}
    @Module({ providers: [Shared] })
    class Two {}
    const { app } = await startApp({ imports: [root(), One, Two] });
    const [one, two] = [app.select(One), app.select(Two)].map((part) => part.get(Shared, { strict: true }));
    expect(one).not.toBe(two);
    expect(await one!.get('d')).toBe(await two!.get('d'));
  });
});

describe('inheritance', () => {
  abstract class Repository {
    @Inject('kind') readonly kind!: string;

    abstract readonly source: { loads: number };

    @Cached({ domain: 'offers' })
    async get(id: string): Promise<string> {
      return `${this.kind} ${this.constructor.name} ${id} ${++this.source.loads}`;
    }
  }

  /** No guarded methods and no constructor of its own. */
  @Injectable()
  class Plain extends Repository {
    readonly source = { loads: 0 };
  }

  /** Own constructor, own injected property, own guarded method, and one that overrides. */
  @Injectable()
  class Rich extends Repository {
    readonly source = { loads: 0 };

    @Inject('kind') readonly again!: string;

    constructor(@Inject('kind') readonly first: string) {
      super();
    }

    @Cached({ domain: 'offers', stalePolicy: 'never' })
    override async get(id: string): Promise<string> {
      return `rich ${await super.get(id)}`;
    }

    @Cached({ domain: 'prices', key: (id: string) => id })
    async price(id: string): Promise<string> {
      return `${this.again} ${this.first} ${id} ${++this.source.loads}`;
    }

    @Invalidates({ domain: 'prices', key: (id: string) => id })
    async setPrice(_id: string): Promise<void> {}
  }

  const providers: Provider[] = [Rich, { provide: 'kind', useValue: 'test' }];

  it('binds what a class inherits and what it has of its own, and keeps the classes apart', async () => {
    const { of } = await startApp({ imports: [root()], providers });
    const rich = of<Rich>(Rich);
    expect(await rich.get('a')).toBe('rich test Rich a 1');
    expect(await rich.get('a')).toBe('rich test Rich a 1');
    expect([await rich.price('a'), await rich.price('a')]).toEqual(['test test a 2', 'test test a 2']);
    await rich.setPrice('a');
    expect(await rich.price('a')).toBe('test test a 3');
    expect(new Set(visibleKeys(rich))).toEqual(new Set(['again', 'first', 'kind', 'source']));
  });

  it('injects the engine once, whatever the number of guarded methods', () => {
    for (const type of [Plain, Rich]) {
      const injected = Reflect.getMetadata('self:properties_metadata', type) as { key: unknown }[];
      expect(injected.filter(({ key }) => typeof key === 'symbol')).toHaveLength(1);
      const optional = Reflect.getMetadata('optional:properties_metadata', type) as unknown[];
      expect(optional).toHaveLength(1);
    }
  });

  it('keeps derived keys of subclasses apart', async () => {
    abstract class Base {
      @Cached({ domain: 'offers' })
      async get(id: string): Promise<string> {
        return `${this.constructor.name} ${id}`;
      }
    }
    @Injectable()
    class One extends Base {}
    @Injectable()
    class Two extends Base {}
    const { of } = await startApp({ imports: [root()], providers: [One, Two] });
    expect([await of<One>(One).get('a'), await of<Two>(Two).get('a')]).toEqual(['One a', 'Two a']);
  });

  it('needs no guarded method in the class itself', async () => {
    const { of } = await startApp({ imports: [root()], providers: [Plain, ...providers.slice(1)] });
    const plain = of<Plain>(Plain);
    expect([await plain.get('a'), await plain.get('a')]).toEqual(['test Plain a 1', 'test Plain a 1']);
  });
});
