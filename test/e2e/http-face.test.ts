import {
  Controller,
  Get,
  Header,
  Inject,
  Injectable,
  NotFoundException,
  Param,
  UseInterceptors,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { Cached, CacheGuard, type DomainPolicies, type ServedValue } from 'nestjs-cache-guard';
import { tap, type Observable } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { gate } from './support/app.js';
import { ADAPTERS, listenOn } from './support/http-face.js';

const domains: DomainPolicies = {
  offers: { freshness: 'experience', softTtl: '30s', hardTtl: '10m', jitter: 0, isAbsent: (o) => 'error' in o },
  careful: { freshness: 'experience', stalePolicy: 'if-error', jitter: 0, backoff: { base: 1, max: 1 } },
  balances: { freshness: 'critical' },
  accounts: { freshness: 'reference', jitter: 0, scope: 'private' },
  tenants: { freshness: 'reference', jitter: 0, partition: () => 'acme' },
};

@Injectable()
class SetsCookie implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const response = context.switchToHttp().getResponse<{ header(name: string, value: string): void }>();
    return next.handle().pipe(tap(() => response.header('set-cookie', 'seen=1')));
  }
}

@Controller()
class Offers {
  loads = 0;
  running = gate();
  finish = Promise.resolve();
  failure: Error | undefined;

  constructor(@Inject(CacheGuard) private readonly guard: CacheGuard) {}

  private async load(what: string): Promise<{ what: string; load: number }> {
    const load = ++this.loads;
    this.running.open();
    await this.finish;
    if (this.failure) throw this.failure;
    return { what, load };
  }

  @Get('offers/:segment')
  @Cached({ domain: 'offers', name: 'offers', key: (segment: string) => segment })
  find(@Param('segment') segment: string): Promise<object> {
    return this.load(segment);
  }

  @Get('careful')
  @Cached({ domain: 'careful' })
  careful(): Promise<object> {
    return this.load('careful');
  }

  @Get('fresh/:segment')
  @Cached({ domain: 'offers', name: 'fresh', key: (segment: string) => segment, http: { noCache: 'honour' } })
  onDemand(@Param('segment') segment: string): Promise<object> {
    return this.load(segment);
  }

  @Get('text')
  @Cached({ domain: 'offers' })
  async text(): Promise<string> {
    return 'grüße';
  }

  @Get('nothing')
  @Cached({ domain: 'offers' })
  async nothing(): Promise<null> {
    this.loads++;
    return null;
  }

  @Get('balance')
  @Cached({ domain: 'balances' })
  balance(): Promise<object> {
    return this.load('balance');
  }

  @Get('tenant')
  @Cached({ domain: 'tenants' })
  tenant(): Promise<object> {
    return this.load('tenant');
  }

  @Get('account')
  @Cached({ domain: 'accounts' })
  account(): Promise<object> {
    return this.load('account');
  }

  @Get('own-header')
  @Header('cache-control', 'max-age=7')
  @Header('vary', 'Origin')
  @Header('etag', '"own"')
  @Header('cache-status', 'Origin; hit')
  @Cached({ domain: 'offers', http: { vary: { headers: ['Accept-Language'], cookies: ['lang'] } } })
  own(): Promise<object> {
    return this.load('own');
  }

  @Get('cookie')
  @UseInterceptors(SetsCookie)
  @Cached({ domain: 'offers' })
  cookie(): Promise<object> {
    return this.load('cookie');
  }

  @Get('missing')
  @Cached({ domain: 'offers' })
  async missing(): Promise<never> {
    this.loads++;
    throw new NotFoundException('no offers');
  }

  /** The banner: the handler knows what its service was served, and says so. */
  @Get('banner')
  async banner(): Promise<{ value: unknown; stale: boolean; ageMs: number }> {
    const { value, served } = await this.guard.trace(() => this.find('banner'));
    const [first]: ServedValue[] = served;
    return { value, stale: first!.state === 'stale', ageMs: first!.ageMs };
  }
}

describe.each(ADAPTERS)('a cached route under %s', (adapter) => {
  const start = async () => {
    const principal = (context?: ExecutionContext) =>
      context?.switchToHttp().getRequest<{ headers: Record<string, string> }>().headers['authorization'];
    const face = await listenOn(adapter, { controllers: [Offers] }, { domains, principal });
    const status = async (path: string, headers: Record<string, string> = {}) =>
      (await face.ask(path, { headers })).headers['cache-status'];
    return { ...face, offers: face.of<Offers>(Offers), status };
  };
  const LIFETIME = 'public, max-age=30, stale-while-revalidate=90, stale-if-error=570';

  it(`says what it did: loaded and stored, then kept, and how old it is [${adapter}]`, async () => {
    const { ask } = await start();
    const first = await ask('/offers/gold');
    expect(first).toMatchObject({ status: 200, body: '{"what":"gold","load":1}' });
    expect(first.headers).toMatchObject({
      'cache-status': expect.stringMatching(/^nestjs-cache-guard; fwd=uri-miss; ttl=(29|30); stored$/),
      'cache-control': LIFETIME,
      etag: expect.stringMatching(/^"[\w-]+"$/),
    });
    expect(first.headers).not.toHaveProperty('age');
    const again = await ask('/offers/gold');
    expect(again.body).toBe(first.body);
    expect(again.headers).toMatchObject({
      'cache-status': expect.stringMatching(/^nestjs-cache-guard; hit; ttl=(29|30)$/),
      'cache-control': LIFETIME,
      etag: first.headers.etag,
      age: expect.stringMatching(/^\d+$/),
    });
    await expect.poll(async () => Number((await ask('/offers/gold')).headers.age)).toBeGreaterThanOrEqual(1);
  });

  it(`answers 304 to who has it, and 200 to who does not, GET and HEAD [${adapter}]`, async () => {
    const { ask } = await start();
    const { headers: had, body } = await ask('/offers/gold');
    for (const method of ['GET', 'HEAD']) {
      const same = await ask('/offers/gold', { method, headers: { 'if-none-match': `"x", W/${had.etag!}` } });
      expect(same).toMatchObject({ status: 304, body: '' });
      expect(same.headers).toMatchObject({ etag: had.etag, 'cache-control': LIFETIME, age: expect.anything() });
      expect(same.headers['cache-status']).toMatch(/; hit; ttl=/);
      expect(same.headers).not.toHaveProperty('content-type');
      for (const other of ['"x"', had.etag!.slice(1), `garbage, ${had.etag!}`, `"${'x'.repeat(4_000)}"`]) {
        const sent = await ask('/offers/gold', { method, headers: { 'if-none-match': other } });
        expect(sent).toMatchObject({ status: 200, body: method === 'HEAD' ? '' : body });
      }
      expect((await ask('/offers/gold', { method, headers: { 'if-none-match': '*' } })).status).toBe(304);
    }
  });

  it(`answers HEAD as GET, from the same entry [${adapter}]`, async () => {
    const { ask, offers } = await start();
    const head = await ask('/offers/gold', { method: 'HEAD' });
    expect(head).toMatchObject({ status: 200, body: '' });
    const got = await ask('/offers/gold');
    expect(got.headers['cache-status']).toContain('; hit;');
    for (const name of ['etag', 'content-length', 'content-type', 'cache-control']) {
      expect([name, head.headers[name]]).toEqual([name, got.headers[name]]);
    }
    expect(offers.loads).toBe(1);
  });

  it.each(['/text', '/nothing'])(`%s: texts and nothing have tags too [${adapter}]`, async (path) => {
    const { ask } = await start();
    const [first, again] = [await ask(path), await ask(path)];
    expect(again.body).toBe(first.body);
    expect(again.headers.etag).toMatch(/^"/);
    expect((await ask(path, { headers: { 'if-none-match': first.headers.etag! } })).status).toBe(304);
  });

  it(`says that it is stale, and keeps nobody downstream from noticing [${adapter}]`, async () => {
    const { ask, guard, offers } = await start();
    const before = await ask('/offers/gold');
    offers.finish = new Promise(() => {});
    await guard.invalidate({ domain: 'offers', name: 'offers', key: 'gold' });
    const stale = await ask('/offers/gold');
    expect(stale.body).toBe(before.body);
    expect(stale.headers['cache-status']).toMatch(/^nestjs-cache-guard; hit; ttl=(-\d+|0)$/);
    expect(stale.headers['cache-control']).toMatch(/^public, max-age=0, stale-while-revalidate=90/);
  });

  it(`tells a handler that what its service was served is stale, and how old [${adapter}]`, async () => {
    const { ask, guard } = await start();
    const banner = async () => JSON.parse((await ask('/banner')).body) as object;
    expect(await banner()).toMatchObject({ stale: false, ageMs: expect.any(Number) });
    await guard.invalidate({ domain: 'offers', name: 'offers', key: 'banner' });
    expect(await banner()).toMatchObject({ stale: true, ageMs: expect.any(Number), value: { load: 1 } });
  });

  it(`says that it stands in for a load that failed [${adapter}]`, async () => {
    const { ask, status, guard, offers } = await start();
    await ask('/careful');
    await guard.invalidateDomain('careful');
    offers.failure = new Error('down');
    expect(await status('/careful')).toMatch(/; hit; ttl=(-\d+|0); detail=stale-on-error$/);
  });

  it(`says what made it ask the source again [${adapter}]`, async () => {
    const { ask, status, guard } = await start();
    await ask('/careful');
    await guard.invalidateDomain('careful');
    expect(await status('/careful')).toMatch(/; fwd=stale; ttl=(29|30); stored$/);
  });

  it(`says that it was answered by somebody else’s load [${adapter}]`, async () => {
    const { ask, events, offers } = await start();
    const held = gate();
    offers.finish = held.passed;
    const first = ask('/offers/gold');
    await offers.running.passed;
    const second = ask('/offers/gold');
    await expect.poll(() => events.filter(({ type }) => type === 'miss').length).toBe(2);
    held.open();
    expect((await first).headers['cache-status']).not.toContain('collapsed');
    expect((await second).headers['cache-status']).toMatch(/; fwd=uri-miss; ttl=(29|30); stored; collapsed$/);
    expect(offers.loads).toBe(1);
  });

  it(`asks the source for a client who wants it, where that may be [${adapter}]`, async () => {
    const { ask, status, offers } = await start();
    const headers = { 'cache-control': 'no-cache' };
    await ask('/fresh/gold');
    expect(await status('/fresh/gold', headers)).toMatch(/; fwd=request; ttl=(29|30); stored$/);
    expect(await status('/fresh/gold')).toContain('; hit;');
    expect(offers.loads).toBe(2);
    await ask('/offers/gold');
    expect(await status('/offers/gold', headers)).toContain('; hit;');
    expect(offers.loads).toBe(3);
  });

  it.each([
    ['/balance', 'no-store', 'fwd=uri-miss'],
    ['/tenant', 'private, max-age=600, stale-while-revalidate=3000, stale-if-error=85800', 'fwd=uri-miss'],
  ])(`%s: Cache-Control is %s [${adapter}]`, async (path, control, status) => {
    const { ask } = await start();
    const { headers } = await ask(path);
    expect(headers['cache-control']).toBe(control);
    expect(headers['cache-status']).toContain(status);
  });

  it(`overrides nothing that the application says, and comes behind it [${adapter}]`, async () => {
    const { ask } = await start();
    const headers = { 'accept-language': 'de', cookie: 'lang=de' };
    await ask('/own-header', { headers });
    const { headers: said } = await ask('/own-header', { headers });
    expect(said).toMatchObject({
      'cache-control': 'max-age=7',
      vary: 'Origin, Accept-Language, Cookie',
      etag: '"own"',
      'cache-status': expect.stringMatching(/^Origin; hit, nestjs-cache-guard; hit; ttl=/),
      age: expect.anything(),
    });
    expect((await ask('/own-header', { headers: { ...headers, 'if-none-match': '"own"' } })).status).toBe(304);
  });

  it(`with a cookie is nobody else’s, whoever sets it [${adapter}]`, async () => {
    const { ask } = await start();
    await ask('/cookie');
    const { headers } = await ask('/cookie');
    expect(headers).toMatchObject({ 'cache-control': 'private, no-store', 'set-cookie': ['seen=1'] });
    expect(headers['cache-status']).toContain('; hit;');
  });

  it(`keeps what is private for its owner, also in a browser that others use [${adapter}]`, async () => {
    const { ask, offers } = await start();
    const as = (authorization: string) => ask('/account', { headers: { authorization } });
    const [ada, bob, again] = [await as('ada'), await as('bob'), await as('ada')];
    expect([ada.body, bob.body, again.body]).toEqual(
      [1, 2, 1].map((load) => JSON.stringify({ what: 'account', load })),
    );
    expect(again.headers).toMatchObject({
      'cache-control': 'private, max-age=600, stale-while-revalidate=3000, stale-if-error=85800',
      vary: 'Authorization, Cookie',
      'cache-status': expect.stringContaining('; hit;'),
    });
    expect(offers.loads).toBe(2);
  });

  it(`keeps an absence, and lets nobody downstream keep it [${adapter}]`, async () => {
    const { ask, offers } = await start();
    for (const status of [/; fwd=miss; detail=exception$/, /; hit; ttl=/]) {
      const missing = await ask('/missing', { headers: { 'if-none-match': '*' } });
      expect(missing).toMatchObject({ status: 404, headers: { 'cache-control': 'no-store' } });
      expect(missing.headers['cache-status']).toMatch(status);
    }
    expect(offers.loads).toBe(1);
  });
});
