import {
  Controller,
  Get,
  Inject,
  Injectable,
  Param,
  type CanActivate,
  type ExecutionContext,
  type MiddlewareConsumer,
  type NestModule,
  type Type,
  Module,
} from '@nestjs/common';
import { APP_GUARD, ExternalContextCreator } from '@nestjs/core';
import { MessagePattern, Server, type CustomTransportStrategy } from '@nestjs/microservices';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import * as fc from 'fast-check';
import { Cached, CacheGuard, CacheGuardModule, type CacheGuardEvent, type PrincipalFunction } from 'nestjs-cache-guard';
import { isObservable, lastValueFrom } from 'rxjs';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { uniqueNamespace } from '../support/namespace.js';

interface Request {
  readonly headers: Record<string, string | undefined>;
  user?: { readonly id: string } | undefined;
}

/** Logs in: runs after middleware and before interceptors, as guards do. */
@Injectable()
class Login implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    if (context.getType() !== 'http') return true;
    const request = context.switchToHttp().getRequest<Request>();
    const id = request.headers['x-user'];
    request.user = id === undefined ? undefined : { id };
    return true;
  }
}

const principal: PrincipalFunction = (context) => {
  switch (context?.getType<'http' | 'rpc' | 'graphql'>()) {
    case 'http':
      return context.switchToHttp().getRequest<Request>().user?.id;
    case 'rpc':
      return context.switchToRpc().getData<{ user?: string }>().user;
    case 'graphql':
      return context.getArgByIndex<{ user?: string }>(0).user;
    default:
      return undefined;
  }
};

@Injectable()
class Accounts {
  loads = 0;

  @Cached({ domain: 'accounts', key: (id: string) => id })
  async find(id: string, asker: string): Promise<string> {
    this.loads++;
    // Others come in between.
    await new Promise(setImmediate);
    return `${id} of ${asker}`;
  }

  /** In a public domain. */
  @Cached({ domain: 'offers', scope: 'private' })
  async suggested(asker: string): Promise<string> {
    this.loads++;
    return `for ${asker}`;
  }

  @Cached({ domain: 'offers' })
  async teaser(id: string, asker: string): Promise<string> {
    return `teaser: ${await this.find(id, asker)}`;
  }
}

@Controller('accounts')
class AccountsController {
  constructor(
    @Inject(Accounts) private readonly accounts: Accounts,
    @Inject('request') private readonly asker: () => string,
  ) {}

  @Get(':id')
  async find(@Param('id') id: string): Promise<object> {
    const asker = this.asker();
    const found = await Promise.all([this.accounts.find(id, asker), this.accounts.teaser(id, asker)]);
    return { found, asker };
  }

  @MessagePattern('find')
  async message({ id, user }: { id: string; user: string }): Promise<string> {
    return this.accounts.find(id, user);
  }

  async resolve({ id, user }: { id: string; user: string }): Promise<string> {
    return this.accounts.find(id, user);
  }
}

/** A transport without a broker. */
class Loop extends Server implements CustomTransportStrategy {
  listen(started: () => void): void {
    started();
  }
  close(): void {}
  on(): void {}
  unwrap(): never {
    throw new Error('there is no client');
  }
  async message(pattern: string, data: unknown): Promise<unknown> {
    const result: unknown = await this.getHandlerByPattern(pattern)!(data);
    return isObservable(result) ? lastValueFrom(result) : result;
  }
}

const domains = {
  accounts: { freshness: 'experience', scope: 'private' },
  offers: { freshness: 'experience' },
} as const;

const adapters = {
  express: () => new ExpressAdapter(),
  fastify: () => new FastifyAdapter(),
};

async function start(adapter: keyof typeof adapters, options: object = {}, extra: readonly Type[] = []) {
  const { AsyncLocalStorage } = await import('node:async_hooks');
  // Who asks, told by another way than the cache's.
  const askers = new AsyncLocalStorage<string>();
  const compiled = await Test.createTestingModule({
    imports: [CacheGuardModule.forRoot({ namespace: uniqueNamespace(), principal, domains, ...options }), ...extra],
    controllers: [AccountsController],
    providers: [
      Accounts,
      { provide: APP_GUARD, useClass: Login },
      { provide: 'request', useValue: () => askers.getStore() ?? 'nobody' },
    ],
  }).compile();
  const app = compiled.createNestApplication(adapters[adapter](), { logger: false });
  const loop = new Loop();
  app.connectMicroservice({ strategy: loop }, { inheritAppConfig: true });
  app.use((request: Request, _response: unknown, next: () => void) =>
    askers.run(request.headers['x-user'] ?? 'nobody', next),
  );
  onTestFinished(() => app.close());
  await app.startAllMicroservices();
  await app.listen(0, '127.0.0.1');
  const url = await app.getUrl();
  const events: CacheGuardEvent[] = [];
  app.get(CacheGuard).on((event) => events.push(event));
  return {
    app,
    loop,
    events,
    accounts: app.get(Accounts),
    get: async (id: string, user?: string) => {
      const response = await fetch(`${url}/accounts/${id}`, { headers: user === undefined ? {} : { 'x-user': user } });
      return (await response.json()) as { found: string[]; asker: string };
    },
  };
}

describe.each(['express', 'fastify'] as const)('under %s', (adapter) => {
  it.each(['memory', 'redis'] as const)(
    'people who interleave under load never see each other’s values [%s]',
    async (store) => {
      const { get, events } = await start(adapter, store === 'redis' ? { redisUrl: inject('redisUrl') } : {});
      const request = fc.record({
        id: fc.constantFrom('a', 'u1', 's.u2'),
        user: fc.option(fc.constantFrom('u1', 'u2', 's.u1', 'u1:a', 'ada@example.org'), { nil: undefined }),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(request, { minLength: 10, maxLength: 60 }), async (requests) => {
          await Promise.all(
            requests.map(async ({ id, user = 'nobody' }, i) => {
              const given = await get(id, requests[i]!.user);
              expect(given).toEqual({ asker: user, found: [`${id} of ${user}`, `teaser: ${id} of ${user}`] });
            }),
          );
        }),
        { numRuns: 10 },
      );
      expect(events.filter(({ type, domain }) => type === 'hit' && domain === 'accounts').length).toBeGreaterThan(50);
      expect(events.filter(({ type, domain }) => type === 'hit' && domain === 'offers')).toEqual([]);
    },
  );

  it('who is nobody is answered, uncached and counted', async () => {
    const { get, accounts, events } = await start(adapter);
    await get('a');
    await get('a');
    expect(accounts.loads).toBe(4);
    expect(events.filter(({ type }) => type === 'no-principal')).toHaveLength(4);
    await get('a', 'u1');
    await get('a', 'u1');
    expect(accounts.loads).toBe(5);
  });
});

describe('every kind of handler', () => {
  it('of messages and of resolvers has the principal of its own context', async () => {
    const { app, loop, accounts, get } = await start('express');
    const controller = app.get(AccountsController);
    // As @nestjs/graphql makes its resolvers.
    const resolver = app
      .get(ExternalContextCreator)
      .create(
        controller,
        ((args: { id: string; user: string }) => controller.resolve(args)) as never,
        'resolve',
        undefined,
        undefined,
        undefined,
        undefined,
        undefined,
        'graphql',
      );
    for (const user of ['u1', 'u2', 'u1', 'u2']) {
      expect(await loop.message('find', { id: 'a', user })).toBe(`a of ${user}`);
      expect(await resolver({ id: 'a', user })).toBe(`a of ${user}`);
      expect((await get('a', user)).found[0]).toBe(`a of ${user}`);
    }
    expect(accounts.loads).toBe(2);
  });

  it('sees a principal that changes while it runs', async () => {
    let user = 'u1';
    const { accounts } = await start('express', { principal: () => user });
    expect(await accounts.suggested('x')).toBe('for x');
    user = 'u2';
    await accounts.suggested('x');
    user = 'u1';
    await accounts.suggested('x');
    expect(accounts.loads).toBe(2);
  });
});

describe('outside of a handler', () => {
  it('there is no context: nothing private is cached, in a middleware either', async () => {
    const seen: unknown[] = [];
    @Module({})
    class Early implements NestModule {
      constructor(@Inject(CacheGuard) private readonly guard: CacheGuard) {}
      configure(consumer: MiddlewareConsumer): void {
        const read = () => this.guard.getOrLoad({ domain: 'accounts', key: 'early' }, async () => seen.push('load'));
        consumer
          .apply(async (_request: unknown, _response: unknown, next: () => void) => (await read(), next()))
          .forRoutes('{*path}');
      }
    }
    const { get, accounts, events } = await start('express', {}, [Early]);
    await get('a', 'u1');
    await get('a', 'u1');
    expect(seen).toHaveLength(2);
    await accounts.find('a', 'x');
    await accounts.find('a', 'y');
    expect(accounts.loads).toBe(3);
    expect(events.filter(({ type }) => type === 'no-principal')).toHaveLength(4);
  });

  it('another application in the process has no part in a request', async () => {
    const [one, two] = [await start('express'), await start('fastify')];
    // What handles a request of the first calls the second.
    const original = one.accounts.find.bind(one.accounts);
    const crossed: string[] = [];
    one.accounts.find = async (id, asker) => {
      crossed.push(await two.accounts.find(id, asker));
      return original(id, asker);
    };
    for (const user of ['u1', 'u2', 'u1']) await one.get('a', user);
    expect(crossed.filter((text) => text === 'a of u1').length).toBeGreaterThan(1);
    expect(two.events.filter(({ type }) => type === 'hit' || type === 'accepted')).toEqual([]);
    expect(two.events.filter(({ type }) => type === 'no-principal').length).toBe(crossed.length);
  });
});
