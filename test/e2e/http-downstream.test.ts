import { AsyncLocalStorage } from 'node:async_hooks';
import cookies from '@fastify/cookie';
import {
  Catch,
  Controller,
  createParamDecorator,
  Get,
  Headers,
  Param,
  Query,
  Req,
  UseFilters,
  UseInterceptors,
  type ArgumentsHost,
  type CallHandler,
  type ExceptionFilter,
  type ExecutionContext,
  type INestApplication,
  type NestInterceptor,
} from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import session from 'express-session';
import { Cached, loadContext, type DomainPolicies } from 'nestjs-cache-guard';
import { mergeMap, type Observable } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { ADAPTERS, listenOn, type Adapter } from './support/http-face.js';

/** What those see and keep that stand between the application and its users. */

const domains: DomainPolicies = {
  offers: { freshness: 'reference', jitter: 0 },
  aging: { freshness: 'experience', stalePolicy: 'while-revalidate', jitter: 0 },
  accounts: { freshness: 'reference', scope: 'private' },
  balances: { freshness: 'critical' },
  tenants: { freshness: 'reference', partition: () => 'acme' },
  fleeting: { freshness: 'reference', stalePolicy: 'no-store' },
};

interface AnyReply {
  status(code: number): unknown;
  setCookie?(name: string, value: string): unknown;
  cookie?(name: string, value: string): unknown;
}

/** The response of the request in whose context a handler runs, as applications keep it. */
const replies = new AsyncLocalStorage<AnyReply>();
type Tenant = { headers: Record<string, string> };

const Segment = createParamDecorator(() => 'gold');

class RemembersReply implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return replies.run(context.switchToHttp().getResponse<AnyReply>(), () => next.handle());
  }
}

class FailsBehind implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(mergeMap(() => Promise.reject(new Error('behind'))));
  }
}

@Catch()
class AnswersAll implements ExceptionFilter {
  catch(_error: Error, host: ArgumentsHost): void {
    const response = host.switchToHttp().getResponse<{ status(code: number): { send(body: unknown): void } }>();
    response.status(200).send({ sorry: true });
  }
}

@Controller()
@UseInterceptors(RemembersReply)
class Routes {
  loads = 0;
  found = true;

  @Get('plain')
  @Cached({ domain: 'offers' })
  async plain(): Promise<string> {
    return `plain ${++this.loads}`;
  }

  @Get('account')
  @Cached({ domain: 'accounts' })
  async account(): Promise<string> {
    return 'account';
  }

  @Get('balance')
  @Cached({ domain: 'balances' })
  async balance(): Promise<string> {
    return 'balance';
  }

  @Get('tenant')
  @Cached({ domain: 'tenants' })
  async tenant(): Promise<string> {
    return 'tenant';
  }

  @Get('fleeting')
  @Cached({ domain: 'fleeting' })
  async fleeting(): Promise<string> {
    return 'fleeting';
  }

  @Get('by-header')
  @Cached({ domain: 'offers', name: 'by-header', key: (tenant: string) => tenant })
  async byHeader(@Headers('X-Tenant') tenant: string): Promise<string> {
    return tenant;
  }

  @Get('by-request')
  @Cached({ domain: 'offers', name: 'by-request', key: ({ headers }: Tenant) => headers['x-tenant']! })
  async byRequest(@Req() { headers }: Tenant): Promise<string> {
    return headers['x-tenant']!;
  }

  @Get('text/:id')
  @Cached({ domain: 'offers', name: 'text', key: (id: string) => id, http: { query: ['lang'] } })
  async text(@Param('id') id: string, @Query() query: Record<string, string>): Promise<string> {
    return `${id} ${query['lang']}`;
  }

  @Get('aging')
  @Cached({ domain: 'aging', http: { statuses: [200, 404] } })
  async aging(): Promise<object> {
    this.loads++;
    if (!this.found) replies.getStore()?.status(404);
    await Promise.resolve();
    return { found: this.found };
  }

  @Get('logged-in')
  @Cached({ domain: 'offers' })
  async loggedIn(): Promise<string> {
    const reply = replies.getStore()!;
    if (reply.setCookie) reply.setCookie('sid', 'mine');
    else reply.cookie!('sid', 'mine');
    return `logged in ${++this.loads}`;
  }

  @Get('behind')
  @UseFilters(AnswersAll)
  @UseInterceptors(FailsBehind)
  @Cached({ domain: 'offers' })
  async behind(): Promise<string> {
    return 'of the handler';
  }

  @Get('by-function')
  @Cached({ domain: 'offers', http: { vary: { by: () => 'all alike' } } })
  async byFunction(): Promise<string> {
    return 'by function';
  }

  @Get('by-decorator')
  @Cached({ domain: 'offers' })
  async byDecorator(@Segment() segment: string): Promise<string> {
    return segment;
  }

  @Get('by-cookie')
  @Cached({ domain: 'offers', http: { vary: { cookies: ['lang'] } } })
  async byCookie(): Promise<string> {
    return 'by cookie';
  }

  @Get('failing')
  @Cached({ domain: 'offers', http: { noCache: 'honour' } })
  async failing(): Promise<string> {
    loadContext();
    throw new Error('no source');
  }
}

const NOBODYS = 'private, no-store';
/** Express has weak ones of its own. */
const isOurs = (etag: string | undefined) => etag?.startsWith('"') ?? false;
const withCookies = (adapter: Adapter) => async (app: INestApplication) => {
  if (adapter === 'Fastify') await (app as NestFastifyApplication).register(cookies);
};
const start = async (adapter: Adapter, adjust?: (app: INestApplication) => void | Promise<void>) => {
  const face = await listenOn(adapter, { controllers: [Routes] }, { domains, principal: () => 'ada' }, adjust);
  return { ...face, routes: face.of<Routes>(Routes) };
};

describe.each(ADAPTERS)('downstream of %s', (adapter) => {
  it.each([
    ['private', '/account'],
    ['critical', '/balance'],
    ['of a partition', '/tenant'],
    ['never kept', '/fleeting'],
  ])(`what is %s is nobody else’s past the cache either [${adapter}]`, async (_what, path) => {
    const { ask } = await start(adapter);
    for (const query of ['?utm=1', '?a=.css', `?page=${'x'.repeat(2_000)}`]) {
      const { headers, status } = await ask(path + query);
      expect([status, headers['cache-control']]).toEqual([200, NOBODYS]);
    }
    expect((await ask('/plain?utm=1')).headers['cache-control']).toBeUndefined();
    const asked = { headers: { authorization: 'Bearer x' } };
    expect((await ask('/plain?utm=1', asked)).headers['cache-control']).toBe(NOBODYS);
  });

  it(`a cookie that a session sets last of all takes back what was said [${adapter}]`, async () => {
    const { ask } = await start(adapter, (app) => {
      app.use(session({ secret: 'of a test', resave: false, saveUninitialized: true }));
    });
    await ask('/plain');
    const { headers, body } = await ask('/plain');
    expect(body).toBe('plain 1');
    expect(headers['set-cookie']).toHaveLength(1);
    expect([headers['cache-control'], isOurs(headers['etag'])]).toEqual([NOBODYS, false]);
  });

  it(`a cookie of the handler’s own is seen, whoever writes it [${adapter}]`, async () => {
    const { ask, reasons } = await start(adapter, withCookies(adapter));
    const answers = [await ask('/logged-in'), await ask('/logged-in')];
    for (const { headers } of answers) {
      expect(headers['set-cookie']).toHaveLength(1);
      expect([headers['cache-control'], isOurs(headers['etag'])]).toEqual([NOBODYS, false]);
    }
    expect(answers.map(({ body }) => body)).toEqual(['logged in 1', 'logged in 2']);
    expect(reasons()).toEqual(['set-cookie', 'set-cookie']);
  });

  it(`what a handler takes besides its key is in Vary, or keeps the answer private [${adapter}]`, async () => {
    const { ask } = await start(adapter);
    for (const path of ['/by-header', '/by-request']) {
      for (const tenant of ['a', 'b', 'a']) {
        const { headers, body } = await ask(path, { headers: { 'x-tenant': tenant } });
        expect(body).toBe(tenant);
        if (path === '/by-header') expect(headers['vary']).toBe('X-Tenant');
        else expect(headers['cache-control']).toMatch(/^private, max-age=/);
      }
    }
  });

  it(`what nobody downstream can tell apart is for private caches [${adapter}]`, async () => {
    const { ask } = await start(adapter);
    for (const path of ['/by-function', '/by-decorator', '/by-cookie'])
      expect((await ask(path)).headers['cache-control']).toMatch(/^private, max-age=/);
    expect((await ask('/by-cookie')).headers['vary']).toBe('Cookie');
  });

  it(`an answer that is not to be kept has no entity tag of ours [${adapter}]`, async () => {
    const { ask } = await start(adapter);
    for (const path of ['/balance', '/fleeting']) expect(isOurs((await ask(path)).headers['etag'])).toBe(false);
  });

  it(`declared parameters are part of a key of your own [${adapter}]`, async () => {
    const { ask } = await start(adapter);
    for (const lang of ['en', 'de', 'en']) expect((await ask(`/text/1?lang=${lang}`)).body).toBe(`1 ${lang}`);
    expect((await ask('/text/1?lang=de')).headers['cache-status']).toContain('; hit');
  });

  it(`a refresh behind an old answer does nothing to it, and keeps no status of its own [${adapter}]`, async () => {
    const { ask, routes, guard, reasons, events } = await start(adapter);
    expect((await ask('/aging')).body).toBe('{"found":true}');
    await guard.invalidateDomain('aging');
    routes.found = false;
    const stale = await ask('/aging');
    expect([stale.status, stale.body]).toEqual([200, '{"found":true}']);
    expect(stale.headers['cache-status']).toContain('; hit; ttl=-');
    await expect.poll(() => routes.loads).toBe(2);
    await expect.poll(() => events.filter(({ type }) => type === 'load')).toHaveLength(2);
    expect(reasons()).toEqual(['status']);
    const third = await ask('/aging');
    expect([third.status, third.body]).toEqual([404, '{"found":false}']);
  });

  it(`an answer whose handler sets another status is not kept, though it may have that [${adapter}]`, async () => {
    const { ask, routes, reasons } = await start(adapter);
    routes.found = false;
    for (const load of [1, 2]) {
      const { status, body } = await ask('/aging');
      expect([status, body, routes.loads]).toEqual([404, '{"found":false}', load]);
    }
    expect(reasons()).toEqual(['status', 'status']);
  });

  it(`what stands in for an error behind the handler is not kept downstream [${adapter}]`, async () => {
    const { ask } = await start(adapter);
    for (let i = 0; i < 2; i++) {
      const { status, headers, body } = await ask('/behind');
      expect([status, body]).toEqual([200, '{"sorry":true}']);
      expect([headers['cache-control'], headers['age']]).toEqual(['no-store', undefined]);
    }
  });

  it(`a client that asked for the source hears so, also when that fails [${adapter}]`, async () => {
    const { ask } = await start(adapter);
    const { status, headers } = await ask('/failing', { headers: { 'cache-control': 'no-cache' } });
    expect([status, headers['cache-status']]).toEqual([500, 'nestjs-cache-guard; fwd=request; detail=exception']);
  });
});

@Controller()
class Wild {
  @Get('wild/*path')
  @Cached({ domain: 'offers' })
  async wild(@Param('path') path: readonly string[]): Promise<string> {
    return String(path.length);
  }
}

it('a wildcard of many short parts fills nothing [Express]', async () => {
  const { ask, reasons } = await listenOn(
    'Express',
    { controllers: [Wild] },
    { domains: { offers: domains['offers']! } },
  );
  expect((await ask(`/wild/${'y/'.repeat(600)}`)).status).toBe(200);
  expect((await ask('/wild/a/b')).headers['cache-status']).toContain('stored');
  expect(reasons()).toEqual(['too-long']);
});
