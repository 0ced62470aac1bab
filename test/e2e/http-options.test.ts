import { Controller, Get, Injectable, Query, Redirect, Req, type DynamicModule, type Type } from '@nestjs/common';
import {
  Cached,
  CacheGuardMetrics,
  CacheGuardModule,
  Follows,
  Warmed,
  type DomainPolicies,
  type HttpRouteOptions,
} from 'nestjs-cache-guard';
import { describe, expect, it } from 'vitest';
import { uniqueNamespace } from '../support/namespace.js';
import { createApp, failureOf } from './support/app.js';
import { listenOn } from './support/http-face.js';

const domains: DomainPolicies = { offers: { freshness: 'reference' } };
const root = (): DynamicModule => CacheGuardModule.forRoot({ namespace: uniqueNamespace('http'), domains });

const boot = async (type: Type, role: 'controllers' | 'providers' = 'controllers'): Promise<unknown> =>
  failureOf(async () => {
    const { app } = await createApp({ imports: [root()], [role]: [type] });
    await app.init();
  });

describe('http of @Cached, when the class is defined', () => {
  it.each<[given: unknown, field: string, mend: string]>([
    [7, 'http = 7', 'give an object with methods, query, vary'],
    [[], 'http = []', 'give an object'],
    [{ method: 'GET' }, "http.method = 'GET'", 'the fields are methods'],
    [{ methods: 'GET' }, "http.methods = 'GET'", 'give a list of methods'],
    [{ methods: [] }, 'http.methods = []', 'name at least one method'],
    [{ methods: ['GET '] }, 'http.methods = ["GET "]', 'give a list of methods'],
    [{ query: 'page' }, "http.query = 'page'", 'give a list of names'],
    [{ query: [''] }, 'http.query = [""]', 'give a list of names'],
    [{ vary: ['x'] }, 'http.vary = ["x"]', 'give an object with headers, cookies, by'],
    [{ vary: { header: ['x'] } }, 'http.vary.header = ["x"]', 'the fields are headers'],
    [{ vary: { headers: ['a b'] } }, 'http.vary.headers = ["a b"]', 'give a list of header names'],
    [{ vary: { headers: ['Cookie'] } }, 'http.vary.headers = ["Cookie"]', 'vary.cookies instead'],
    [{ vary: { headers: ['a\r\nb'] } }, 'http.vary.headers', 'give a list of header names'],
    [{ vary: { cookies: ['a=b'] } }, 'http.vary.cookies = ["a=b"]', 'give a list of names of cookies'],
    [{ vary: { by: 'user' } }, "http.vary.by = 'user'", 'give a function'],
    [{ statuses: [] }, 'http.statuses = []', 'from 200 to 599'],
    [{ statuses: [99] }, 'http.statuses = [99]', 'from 200 to 599'],
    [{ statuses: ['200'] }, 'http.statuses = ["200"]', 'from 200 to 599'],
    [{ credentials: 'allow' }, "http.credentials = 'allow'", 'use one of refuse, share'],
    [{ noCache: true }, 'http.noCache = true', 'use one of ignore, honour'],
  ])('%j is refused', (http, field, mend) => {
    const define = () => {
      class Routes {
        @Cached({ domain: 'offers', http: http as HttpRouteOptions })
        async list(): Promise<void> {}
      }
      return Routes;
    };
    expect(define).toThrow(
      expect.objectContaining({
        code: 'CG_INVALID_DECORATION',
        method: 'Routes.list',
        message: expect.stringContaining(field),
      }),
    );
    expect(define).toThrow(mend);
  });
});

describe('http of @Cached, at boot', () => {
  it('is refused on a method that is no route', async () => {
    @Injectable()
    class Service {
      @Cached({ domain: 'offers', http: {} })
      async list(): Promise<void> {}
    }
    expect(await boot(Service, 'providers')).toMatchObject({
      code: 'CG_INVALID_DECORATION',
      method: 'Service.list',
      message: expect.stringContaining('decorate it with @Get, or leave http out'),
    });
  });

  it('must name the parameters of a query that is taken whole', async () => {
    @Controller()
    class Routes {
      @Get()
      @Cached({ domain: 'offers' })
      async list(@Query() _query: object): Promise<void> {}
    }
    expect(await boot(Routes)).toMatchObject({
      code: 'CG_INVALID_DECORATION',
      message: expect.stringContaining("http: { query: ['page'] }"),
    });
  });

  it.each([
    ['@Follows', 'a header', { http: { vary: { headers: ['x-a'] } } }],
    ['@Warmed', 'a header', { http: { vary: { headers: ['x-a'] } } }],
    ['@Follows', 'a parameter beside a key', { name: 'list', key: () => 'all', http: { query: ['lang'] } }],
  ] as const)('is refused where %s could not name its keys: %s', async (decorator, _what, options) => {
    const decorate = decorator === '@Follows' ? Follows({ on: 'x', args: () => [] }) : Warmed({ args: () => [[]] });
    @Controller()
    class Routes {
      @Get()
      @decorate
      @Cached({ domain: 'offers', ...options })
      async list(): Promise<void> {}
    }
    expect(await boot(Routes)).toMatchObject({
      code: 'CG_INVALID_DECORATION',
      message: expect.stringContaining(`${decorator} names its keys by arguments`),
    });
  });
});

it('what goes past the cache is counted by its reason, and what always does is logged once', async () => {
  @Controller()
  class Routes {
    @Get('request')
    @Cached({ domain: 'offers' })
    async request(@Req() _request: unknown): Promise<void> {}

    @Get('redirect')
    @Redirect('/')
    @Cached({ domain: 'offers' })
    async redirect(): Promise<void> {}

    @Get('plain')
    @Cached({ domain: 'offers' })
    async plain(): Promise<void> {}
  }
  const { ask, app, logs } = await listenOn('Express', { controllers: [Routes] }, { domains });
  for (const path of ['/request', '/request', '/redirect', '/plain?a=1', '/plain?b=1']) await ask(path);
  const metrics = app.get(CacheGuardMetrics);
  expect(metrics.snapshot()['offers']?.bypasses).toEqual({ 'request-object': 2, redirect: 1, query: 2 });
  expect(logs.of('warn').filter((line) => line.includes('never cached'))).toEqual([
    "Domain 'offers': Routes.request is a route that is never cached, because it takes the request and has no key; give it one.",
    "Domain 'offers': Routes.redirect is a route that is never cached, because it redirects.",
  ]);
});
