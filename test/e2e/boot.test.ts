import {
  Controller,
  Get,
  Injectable,
  Module,
  Scope,
  UseGuards,
  type CanActivate,
  type ModuleMetadata,
} from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  Cached,
  CacheGuardConfigError,
  CacheGuardModule,
  Invalidates,
  isCacheGuardError,
  Refreshes,
  type CacheGuardModuleOptions,
  type DomainPolicies,
} from 'nestjs-cache-guard';
import { describe, expect, it, onTestFinished } from 'vitest';
import { explainMissingPeer } from '../../lib/nest/store-factory.js';
import { failureOf, startApp } from './support/app.js';

const root = (more: Partial<CacheGuardModuleOptions> = {}) =>
  CacheGuardModule.forRoot({ namespace: 'boot', domains: { offers: { freshness: 'experience' } }, ...more });

const bootFailure = async (metadata: ModuleMetadata) => {
  const error = await failureOf(() => startApp(metadata));
  expect(error).toBeInstanceOf(CacheGuardConfigError);
  return error as CacheGuardConfigError;
};

describe('the options', () => {
  it.each<[string, Record<string, unknown>, string, RegExp]>([
    ['no namespace', { namespace: undefined }, 'namespace', /namespace = undefined.*1 to 64 letters/],
    ['a namespace with spaces', { namespace: 'retail bank' }, 'namespace', /'retail bank'/],
    ['a misspelt option', { redisURL: 'redis://user:secret@host' }, 'redisURL', /there is no such option/],
    ['two stores', { redis: {}, redisUrl: 'redis://localhost' }, 'redis and redisUrl', /one of redis, redisUrl and/],
    ['connection options that are none', { redis: 'localhost:secret' }, 'redis', /\{ host, port \}/],
    ['a URL that is none', { redisUrl: 'localhost:secret' }, 'redisUrl', /redis:\/\//],
    ['a client that is none', { existingClient: { secret: 1 } }, 'existingClient', /Redis or Cluster/],
    ['a time-out without a unit', { commandTimeout: '1 second' }, 'commandTimeout', /'1 second'.*'250ms'/],
    ['a time-out of nothing', { commandTimeout: 0 }, 'commandTimeout', /at least 1ms/],
    ['a way out that is none', { unsupportedRedis: 'memory' }, 'unsupportedRedis', /'embedded' or 'refuse'/],
    ['domains that are none', { domains: [] }, 'domains', /domain names/],
    ['a hook that is none', { afterCommit: true }, 'afterCommit', /\(action\) => boolean/],
    ['a switch that is none', { enabled: 'no' }, 'enabled', /true or false/],
  ])('refuse %s', async (_, more, field, message) => {
    for (const imported of [
      root(more),
      CacheGuardModule.forRootAsync({ useFactory: () => ({ namespace: 'a', ...more }) }),
    ]) {
      const error = await bootFailure({ imports: [imported] });
      expect(error).toMatchObject({ code: 'CG_INVALID_OPTIONS', field });
      expect(error.message).toMatch(message);
      expect(error.message).not.toContain('secret');
    }
  });

  it('refuse what is no object', async () => {
    const options = undefined as unknown as CacheGuardModuleOptions;
    const error = await bootFailure({ imports: [CacheGuardModule.forRootAsync({ useFactory: () => options })] });
    expect(error).toMatchObject({ code: 'CG_INVALID_OPTIONS', field: 'options' });
  });

  it('say how to install a missing ioredis', () => {
    const missing = Object.assign(new Error("Cannot find package 'ioredis' imported from /app"), {
      code: 'ERR_MODULE_NOT_FOUND',
    });
    expect(() => explainMissingPeer(missing)).toThrow(/npm install ioredis/);
    expect(() => explainMissingPeer(missing)).toThrow(CacheGuardConfigError);
    const other = new Error('broken');
    expect(() => explainMissingPeer(other)).toThrow(other);
  });
});

describe('the modules', () => {
  it('refuse a second root', async () => {
    @Module({ imports: [root()] })
    class OtherModule {}
    const error = await bootFailure({ imports: [root({ domains: {} }), OtherModule] });
    expect(error).toMatchObject({ code: 'CG_INVALID_OPTIONS', field: 'forRoot' });
    expect(error.message).toMatch(/imported 2 times.*forFeature/);
  });

  it('accept one root that is imported twice', async () => {
    const one = root();
    @Module({ imports: [one] })
    class OtherModule {}
    await startApp({ imports: [one, OtherModule] });
  });

  it('refuse the bare class without a root', async () => {
    const error = await failureOf(() => Test.createTestingModule({ imports: [CacheGuardModule] }).compile());
    expect(error).toMatchObject({ code: 'CG_INVALID_OPTIONS', message: expect.stringContaining('forRoot') });
  });

  it('refuse a feature without a root', async () => {
    @Module({ imports: [CacheGuardModule.forFeature({ catalog: { freshness: 'reference' } })] })
    class CatalogModule {}
    const error = await failureOf(() => Test.createTestingModule({ imports: [CatalogModule] }).compile());
    expect(error).toMatchObject({ code: 'CG_INVALID_OPTIONS', field: 'forFeature' });
    expect(String(error)).toMatch(/CatalogModule.*CacheGuardModule\.forRoot/);
  });

  it('refuse a feature without policies', async () => {
    const feature = CacheGuardModule.forFeature(null as unknown as DomainPolicies);
    const error = await bootFailure({ imports: [root(), feature] });
    expect(error).toMatchObject({ code: 'CG_INVALID_OPTIONS', field: 'forFeature' });
  });

  it('report the mistake in the root’s options, also where there are features', async () => {
    const feature = CacheGuardModule.forFeature({ catalog: { freshness: 'reference' } });
    const error = await bootFailure({ imports: [feature, root({ namespace: '' })] });
    expect(error).toMatchObject({ code: 'CG_INVALID_OPTIONS', field: 'namespace' });
  });

  it('refuse a domain that two of them register, and name both', async () => {
    @Module({ imports: [CacheGuardModule.forFeature({ catalog: { freshness: 'reference' } })] })
    class CatalogModule {}
    @Module({ imports: [CacheGuardModule.forFeature({ catalog: { freshness: 'critical' } })] })
    class SearchModule {}
    const error = await bootFailure({ imports: [root(), CatalogModule, SearchModule] });
    expect(error).toMatchObject({ code: 'CG_DUPLICATE_DOMAIN', domain: 'catalog' });
    expect(error.message).toMatch(/forFeature in CatalogModule.*forFeature in SearchModule/);
  });

  it('refuse a domain of the root again, and name both', async () => {
    @Module({ imports: [CacheGuardModule.forFeature({ offers: { freshness: 'reference' } })] })
    class OffersModule {}
    const error = await bootFailure({ imports: [OffersModule, root()] });
    expect(error).toMatchObject({ code: 'CG_DUPLICATE_DOMAIN', domain: 'offers' });
    expect(error.message).toMatch(/forRoot/);
    expect(error.message).toMatch(/forFeature in OffersModule/);
  });

  it('refuse a policy that contradicts its class', async () => {
    const contradiction = { balances: { freshness: 'critical', stalePolicy: 'while-revalidate' } } as const;
    for (const imports of [[root({ domains: contradiction })], [root(), CacheGuardModule.forFeature(contradiction)]]) {
      expect(await bootFailure({ imports })).toMatchObject({ code: 'CG_INVALID_POLICY', field: 'stalePolicy' });
    }
  });
});

@Injectable()
class Unknown {
  @Cached({ domain: 'ofers' })
  async get(): Promise<void> {}
}

@Injectable({ scope: Scope.REQUEST })
class UnknownPerRequest extends Unknown {}

@Injectable()
class UnknownWrite {
  @Invalidates({ domain: 'ofers', all: true })
  async set(): Promise<void> {}
}

@Injectable()
class UnknownRefresh {
  @Refreshes({ domain: 'ofers', name: 'x' })
  async set(): Promise<void> {}
}

@Injectable()
class Contradiction {
  @Cached({ domain: 'offers', softTtl: '1h', hardTtl: '1m' })
  async get(): Promise<void> {}
}

@Controller('unknown')
class UnknownController {
  @Get()
  @Cached({ domain: 'ofers' })
  async get(): Promise<void> {}
}

@Injectable()
class UnknownGuard extends Unknown implements CanActivate {
  canActivate(): boolean {
    return true;
  }
}

@Controller('guarded')
@UseGuards(UnknownGuard)
class GuardedController {}

describe('guarded methods', () => {
  it.each<[string, ModuleMetadata, string, string]>([
    ['a provider', { providers: [Unknown] }, 'CG_UNKNOWN_DOMAIN', 'Unknown.get'],
    ['a request-scoped provider', { providers: [UnknownPerRequest] }, 'CG_UNKNOWN_DOMAIN', 'UnknownPerRequest.get'],
    ['a value', { providers: [{ provide: 'x', useValue: new Unknown() }] }, 'CG_UNKNOWN_DOMAIN', 'Unknown.get'],
    [
      'a factory',
      { providers: [{ provide: 'x', useFactory: () => new Unknown() }] },
      'CG_UNKNOWN_DOMAIN',
      'Unknown.get',
    ],
    ['a controller', { controllers: [UnknownController] }, 'CG_UNKNOWN_DOMAIN', 'UnknownController.get'],
    ['a guard', { controllers: [GuardedController] }, 'CG_UNKNOWN_DOMAIN', 'UnknownGuard.get'],
    ['a write', { providers: [UnknownWrite] }, 'CG_UNKNOWN_DOMAIN', 'UnknownWrite.set'],
    ['a refresh', { providers: [UnknownRefresh] }, 'CG_UNKNOWN_DOMAIN', 'UnknownRefresh.set'],
    ['an override', { providers: [Contradiction] }, 'CG_INVALID_POLICY', 'Contradiction.get'],
  ])('are refused for the mistake of %s', async (_, metadata, code, method) => {
    const error = await bootFailure({ imports: [root()], ...metadata });
    expect(error).toMatchObject({ code, method });
    expect(error.message).toContain(method);
  });

  it('are refused by init, not by creating the application', async () => {
    const compiled = await Test.createTestingModule({ imports: [root()], providers: [Unknown] }).compile();
    const app = compiled.createNestApplication();
    onTestFinished(() => app.close());
    expect(isCacheGuardError(await failureOf(() => app.init()), 'CG_UNKNOWN_DOMAIN')).toBe(true);
  });

  it('are refused with all mistakes at once', async () => {
    const error = await bootFailure({ imports: [root()], providers: [Unknown, Contradiction, UnknownWrite] });
    expect(error.message).toMatch(/3 mistakes.*Unknown\.get.*Contradiction\.get.*UnknownWrite\.set/s);
  });
});

describe('guarded methods under the same keys', () => {
  @Injectable()
  class Offers {
    @Cached({ domain: 'offers', key: (id: string) => id })
    async get(_id: string): Promise<void> {}
  }

  @Injectable()
  class Prices {
    @Cached({ domain: 'offers', key: (id: string) => id })
    async get(_id: string): Promise<void> {}
  }

  @Injectable()
  class Shared {
    @Cached({ domain: 'offers', key: (id: string) => id, shared: true })
    async get(_id: string): Promise<void> {}
  }

  @Injectable()
  class Named {
    @Cached({ domain: 'offers', key: (id: string) => id, name: 'x' })
    async one(_id: string): Promise<void> {}

    @Cached({ domain: 'offers', name: 'x' })
    async two(_id: string): Promise<void> {}
  }

  abstract class Base {
    @Cached({ domain: 'offers', key: (id: string) => id })
    async get(_id: string): Promise<void> {}
  }

  @Injectable()
  class One extends Base {}

  @Injectable()
  class Two extends Base {}

  const twins = [0, 1].map(() => {
    @Injectable()
    class Twin {
      @Cached({ domain: 'offers' })
      async get(_id: string): Promise<void> {}
    }
    return Twin;
  });

  it.each<[string, ModuleMetadata['providers'] & object, RegExp]>([
    ['of two classes', [Offers, Prices], /Offers\.get and Prices\.get.*own name.*shared: true/],
    ['of which one shares', [Offers, Shared], /Offers\.get and Shared\.get/],
    ['by one name', [Named], /Named\.one and Named\.two, both called 'x'/],
    ['that two classes inherit', [One, Two], /One\.get and Two\.get/],
    ['of two classes with one name', twins, /Twin\.get of two classes with the same name/],
  ])('are refused: %s', async (_, providers, message) => {
    const error = await bootFailure({ imports: [root()], providers });
    expect(error).toMatchObject({ code: 'CG_NAME_CLASH', domain: 'offers', field: 'name' });
    expect(error.message).toMatch(message);
  });

  it('are accepted in two modules of one class, and where both share', async () => {
    @Injectable()
    class SharedToo {
      @Cached({ domain: 'offers', key: (id: string) => id, shared: true })
      async get(_id: string): Promise<void> {}
    }
    @Module({ providers: [Shared] })
    class OtherModule {}
    await startApp({ imports: [root(), OtherModule], providers: [Shared, SharedToo] });
  });
});

const decorate = (decorator: unknown, target: object, key = 'get') => {
  const descriptor = Object.getOwnPropertyDescriptor(target, key);
  (decorator as (...args: unknown[]) => void)(target, key, descriptor);
  if (descriptor) Object.defineProperty(target, key, descriptor);
};
const loose = (options: unknown) => options as never;

describe('decorations', () => {
  it.each<[string, () => unknown, RegExp]>([
    ['no domain', () => Cached(loose({})), /domain = undefined/],
    ['a key that is no function', () => Cached(loose({ domain: 'a', key: 'id' })), /key = 'id'/],
    ['an empty name', () => Cached({ domain: 'a', name: '' }), /name = ''/],
    ['nothing to invalidate', () => Invalidates(loose({ domain: 'a' })), /exactly one of key, keys, tags and all/],
    ['two things to invalidate', () => Invalidates(loose({ domain: 'a', all: true, key: () => 1 })), /exactly one/],
    ['a name for all', () => Invalidates(loose({ domain: 'a', all: true, name: 'x' })), /name goes with key or keys/],
    ['no such moment', () => Invalidates(loose({ domain: 'a', all: true, when: 'before' })), /'success' or 'settled'/],
    ['nothing to refresh', () => Refreshes({ domain: 'a' }), /the key \(or the name\)/],
  ])('are refused where the class is defined: %s', (_, decorator, message) => {
    class Offers {
      async get(): Promise<void> {}
    }
    expect(() => decorate(decorator(), Offers.prototype)).toThrow(CacheGuardConfigError);
    expect(() => decorate(decorator(), Offers.prototype)).toThrow(/on Offers\.get is refused/);
    expect(() => decorate(decorator(), Offers.prototype)).toThrow(message);
  });

  it('are refused twice on one method, and on what is no method', () => {
    class Offers {
      async get(): Promise<void> {}

      static async all(): Promise<void> {}

      get accessor(): number {
        return 1;
      }
    }
    decorate(Cached({ domain: 'a' }), Offers.prototype);
    expect(() => decorate(Cached({ domain: 'b' }), Offers.prototype)).toThrow(/already has @Cached/);
    expect(() => decorate(Refreshes({ domain: 'b', name: 'x' }), Offers.prototype)).toThrow(/already has @Cached/);
    expect(() => decorate(Cached({ domain: 'a' }), Offers, 'all')).toThrow(/static methods have no engine/);
    expect(() => decorate(Cached({ domain: 'a' }), Offers.prototype, 'accessor')).toThrow(/only methods/);
    expect(() => decorate(Cached({ domain: 'a' }), Offers.prototype, 'property')).toThrow(/only methods/);
  });
});
