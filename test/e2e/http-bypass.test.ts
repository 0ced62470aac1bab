import { Readable } from 'node:stream';
import {
  All,
  Body,
  Controller,
  Get,
  Headers,
  HttpCode,
  Ip,
  Next,
  Param,
  Post,
  Query,
  Redirect,
  Req,
  Res,
  Session,
  StreamableFile,
} from '@nestjs/common';
import { Cached, type DomainPolicies } from 'nestjs-cache-guard';
import { of } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { ADAPTERS, listenOn, type Asked } from './support/http-face.js';

const domains: DomainPolicies = {
  offers: { freshness: 'reference', jitter: 0 },
  accounts: { freshness: 'reference', scope: 'private' },
  tenants: { freshness: 'reference', partition: () => undefined },
  throwing: { freshness: 'reference', partition: () => JSON.parse('no JSON') as string },
};

interface AnyResponse {
  send(body: unknown): void;
  header(name: string, value: string): void;
  status(code: number): void;
}
interface AnyRequest {
  readonly url: string;
  readonly res?: AnyResponse;
}

/** What the handlers without a response of their own set on it. */
let current: AnyResponse | undefined;

@Controller()
class Routes {
  loads = 0;

  @All('plain/:id')
  @Cached({ domain: 'offers' })
  async plain(@Param('id') id: string, @Query('page') page?: string): Promise<string> {
    return `${id} ${page ?? ''} ${++this.loads}`;
  }

  @Post('told')
  @HttpCode(200)
  @Cached({ domain: 'offers', name: 'told', key: (body: { id: string }) => body.id, http: { methods: ['post'] } })
  async told(@Body() body: { id: string }): Promise<string> {
    return `${body.id} ${++this.loads}`;
  }

  @Post('body')
  @HttpCode(200)
  @Cached({ domain: 'offers', http: { methods: ['POST'] } })
  async body(@Body() body: object): Promise<string> {
    return `${JSON.stringify(body)} ${++this.loads}`;
  }

  @Post('created')
  @Cached({ domain: 'offers', http: { methods: ['POST'] } })
  async created(): Promise<string> {
    return String(++this.loads);
  }

  @Get('request')
  @Cached({ domain: 'offers' })
  async request(@Req() request: AnyRequest): Promise<string> {
    return `${request.url} ${++this.loads}`;
  }

  @Get('keyed-request')
  @Cached({ domain: 'offers', name: 'keyed', key: (request: AnyRequest) => request.url })
  async keyedRequest(@Req() request: AnyRequest): Promise<string> {
    return `${request.url} ${++this.loads}`;
  }

  @Get('session')
  @Cached({ domain: 'offers' })
  async session(@Session() session: unknown): Promise<string> {
    return `${typeof session} ${++this.loads}`;
  }

  @Get('headers')
  @Cached({ domain: 'offers' })
  async headers(@Headers() headers: object): Promise<string> {
    return `${typeof headers} ${++this.loads}`;
  }

  @Get('response')
  @Cached({ domain: 'offers', name: 'response', key: () => 'one' })
  async response(@Res() response: AnyResponse): Promise<void> {
    response.send(String(++this.loads));
  }

  @Get('passthrough')
  @Cached({ domain: 'offers', name: 'passthrough', key: () => 'one' })
  async passthrough(@Res({ passthrough: true }) response: AnyResponse): Promise<string> {
    response.header('x-load', String(++this.loads));
    return 'passed';
  }

  @Get('next')
  @Cached({ domain: 'offers', name: 'next', key: () => 'one' })
  async next(@Next() _next: unknown, @Res() response: AnyResponse): Promise<void> {
    response.send(String(++this.loads));
  }

  @Get('redirect')
  @Redirect('/plain/a', 302)
  @Cached({ domain: 'offers' })
  async redirect(): Promise<void> {
    this.loads++;
  }

  @Get('file')
  @Cached({ domain: 'offers' })
  async file(): Promise<StreamableFile> {
    return new StreamableFile(Readable.from([`file ${++this.loads}`]));
  }

  @Get('observable')
  @Cached({ domain: 'offers' })
  async observable(): Promise<unknown> {
    return of('one', `${++this.loads}`);
  }

  @Get('cookie')
  @Cached({ domain: 'offers' })
  async cookie(): Promise<string> {
    current?.header('set-cookie', `load=${++this.loads}`);
    return 'cookie';
  }

  @Get('status')
  @Cached({ domain: 'offers' })
  async status(): Promise<string> {
    this.loads++;
    current?.status(203);
    return 'status';
  }

  @Get('statuses')
  @HttpCode(203)
  @Cached({ domain: 'offers', http: { statuses: [200, 203] } })
  async statuses(): Promise<string> {
    return String(++this.loads);
  }

  @Get('shared')
  @Cached({ domain: 'offers', http: { credentials: 'share' } })
  async shared(): Promise<string> {
    return String(++this.loads);
  }

  @Get('lang')
  @Cached({ domain: 'offers', http: { vary: { cookies: ['lang'], headers: ['Authorization'] } } })
  async lang(): Promise<string> {
    return String(++this.loads);
  }

  @Get('account')
  @Cached({ domain: 'accounts' })
  async account(): Promise<string> {
    return String(++this.loads);
  }

  @Get('tenant')
  @Cached({ domain: 'tenants' })
  async tenant(): Promise<string> {
    return String(++this.loads);
  }

  @Get('tenant-throws')
  @Cached({ domain: 'throwing' })
  async tenantThrows(): Promise<string> {
    return String(++this.loads);
  }

  @Get('keyless')
  @Cached({ domain: 'offers', name: 'keyless', key: (): string => undefined as never })
  async keyless(): Promise<string> {
    return String(++this.loads);
  }

  @Get('key-throws')
  @Cached({ domain: 'offers', name: 'throws', key: (): string => JSON.parse('no JSON') as string })
  async keyThrows(): Promise<string> {
    return String(++this.loads);
  }

  @Get('by-throws')
  @Cached({ domain: 'offers', http: { vary: { by: () => JSON.parse('no JSON') as string } } })
  async byThrows(): Promise<string> {
    return String(++this.loads);
  }

  @Get('ip')
  @Cached({ domain: 'offers' })
  async ip(@Ip() ip: string): Promise<string> {
    return `${typeof ip} ${++this.loads}`;
  }
}

interface Passed {
  readonly fwd?: string;
  readonly reason: string;
  readonly control?: string;
  readonly status?: number;
  /** Default: every request loads. */
  readonly loads?: number;
}

const json = { 'content-type': 'application/json' };
const NOBODYS = 'private, no-store';
const long = 'x'.repeat(1_025);

const CASES: readonly (readonly [what: string, path: string, asked: Asked, passed: Passed])[] = [
  ['another method', '/plain/a', { method: 'POST' }, { fwd: 'method', reason: 'method' }],
  ['DELETE', '/plain/a', { method: 'DELETE' }, { fwd: 'method', reason: 'method' }],
  ['an undeclared parameter', '/plain/a?utm=1', {}, { reason: 'query' }],
  ['a repeated parameter', '/plain/a?page=1&page=2', {}, { reason: 'query' }],
  ['a list in a parameter', '/plain/a?page[]=1', {}, { reason: 'query' }],
  ['a body', '/plain/a', { body: '{"id":"b"}', headers: { ...json, 'content-length': '10' } }, { reason: 'body' }],
  [
    'a body in pieces',
    '/plain/a',
    { body: '{}', headers: { ...json, 'transfer-encoding': 'chunked' } },
    { reason: 'body' },
  ],
  ['a parameter too long', `/plain/a?page=${long}`, {}, { reason: 'too-long' }],
  ['a cookie too long', '/lang', { headers: { cookie: `lang=${long}` } }, { reason: 'too-long', control: NOBODYS }],
  [
    'Authorization',
    '/plain/a',
    { headers: { authorization: 'Bearer x' } },
    { reason: 'credentials', control: NOBODYS },
  ],
  ['a cookie', '/plain/a', { headers: { cookie: 'sid=1' } }, { reason: 'credentials', control: NOBODYS }],
  ['a cookie beside', '/lang', { headers: { cookie: 'lang=de; sid=1' } }, { reason: 'credentials', control: NOBODYS }],
  [
    'a body that is not keyed',
    '/body',
    { method: 'POST', body: '{}', headers: json },
    { reason: 'body', control: NOBODYS },
  ],
  ['another status', '/created', { method: 'POST' }, { reason: 'status', status: 201 }],
  ['@Req()', '/request', {}, { reason: 'request-object', control: NOBODYS }],
  ['@Session()', '/session', {}, { reason: 'request-object', control: NOBODYS }],
  ['@Headers()', '/headers', {}, { reason: 'request-object', control: NOBODYS }],
  ['@Res()', '/response', {}, { reason: 'response-object' }],
  ['@Res({ passthrough })', '/passthrough', {}, { reason: 'response-object' }],
  ['@Next()', '/next', {}, { reason: 'response-object' }],
  ['@Redirect', '/redirect', {}, { reason: 'redirect', status: 302 }],
  ['a file', '/file', {}, { fwd: 'uri-miss', reason: 'stream', control: 'no-store' }],
  ['an Observable', '/observable', {}, { fwd: 'uri-miss', reason: 'stream', control: 'no-store' }],
  ['Set-Cookie', '/cookie', {}, { fwd: 'uri-miss', reason: 'set-cookie', control: NOBODYS }],
  ['a status of its own', '/status', {}, { fwd: 'uri-miss', reason: 'status', control: 'no-store', status: 203 }],
  ['no principal', '/account', {}, { reason: 'no-principal', control: NOBODYS }],
  ['no partition', '/tenant', {}, { reason: 'no-partition', control: NOBODYS }],
  ['a partition that throws', '/tenant-throws', {}, { reason: 'no-partition', control: NOBODYS }],
  ['no key', '/keyless', {}, { reason: 'unusable-key', control: NOBODYS }],
  ['a key function that throws', '/key-throws', {}, { reason: 'unusable-key', control: NOBODYS }],
  ['vary.by that throws', '/by-throws', {}, { reason: 'unusable-key', control: NOBODYS }],
];

describe.each(ADAPTERS)('past the cache under %s', (adapter) => {
  const start = async () => {
    const face = await listenOn(adapter, { controllers: [Routes] }, { domains, principal: () => undefined }, (app) => {
      app.use((_request: unknown, response: AnyResponse & { raw?: AnyResponse }, next: () => void) => {
        current = responseOf(response);
        next();
      });
    });
    return { ...face, routes: face.of<Routes>(Routes) };
  };

  it.each(CASES)(`%s goes to the handler, and is not kept [${adapter}]`, async (_what, path, asked, passed) => {
    const { ask, routes, reasons, guard } = await start();
    const answers = [await ask(path, asked), await ask(path, asked)];
    expect(routes.loads).toBe(2);
    for (const { status, headers } of answers) {
      expect(status).toBe(passed.status ?? 200);
      expect(headers['cache-control']).toBe(passed.control);
    }
    expect(answers[0]!.headers['cache-status']).toBe(
      `nestjs-cache-guard; fwd=${passed.fwd ?? 'bypass'}; detail=${passed.reason}`,
    );
    expect(answers[1]!.headers['cache-status']).toContain(`; detail=${passed.reason}`);
    expect(reasons()).toEqual([passed.reason, passed.reason]);
    expect(guard.policies()).toHaveLength(4);
  });

  it.each<[what: string, path: string, asked: Asked]>([
    ['a method that was told', '/told', { method: 'POST', body: '{"id":"7"}', headers: json }],
    ['@Req() with a key', '/keyed-request', {}],
    ['a status that was told', '/statuses', {}],
    ['credentials that change nothing', '/shared', { headers: { authorization: 'Bearer x', cookie: 'sid=1' } }],
    ['credentials in the key', '/lang', { headers: { authorization: 'Bearer x', cookie: 'lang=de' } }],
    ['an empty body', '/plain/a', { headers: { 'content-length': '0' } }],
    ['declared parameters in any order', '/plain/a?page=1', {}],
    ['@Ip()', '/ip', {}],
  ])(`%s is kept [${adapter}]`, async (_what, path, asked) => {
    const { ask, routes, reasons } = await start();
    await ask(path, asked);
    expect((await ask(path, asked)).headers['cache-status']).toContain('; hit;');
    expect([routes.loads, reasons()]).toEqual([1, []]);
  });

  it(`what depends on the address or a token is for private caches [${adapter}]`, async () => {
    const { ask } = await start();
    for (const path of ['/ip', '/lang'])
      expect((await ask(path)).headers['cache-control']).toMatch(/^private, max-age/);
    expect((await ask('/plain/a')).headers['cache-control']).toMatch(/^public, max-age/);
  });
});

/** Under Fastify, middleware is given the response of Node. */
function responseOf(response: AnyResponse): AnyResponse {
  if (typeof response.status === 'function') return response;
  const raw = response as unknown as { setHeader(name: string, value: string): void; statusCode: number };
  return {
    send: () => {},
    header: (name, value) => raw.setHeader(name, value),
    status: (code) => {
      raw.statusCode = code;
    },
  };
}
