import {
  ConflictException,
  Controller,
  Get,
  Headers,
  Inject,
  Injectable,
  Param,
  Post,
  Res,
  UseInterceptors,
  type Type,
} from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import {
  Cached,
  CacheGuard,
  CacheGuardModule,
  CacheGuardSession,
  Invalidates,
  Refreshes,
  type AfterCommit,
} from 'nestjs-cache-guard';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { uniqueNamespace } from '../support/namespace.js';
import { gate, LogBook } from './support/app.js';

const HEADER = 'x-cache-guard-session';

@Injectable()
class Offers {
  version = 1;
  slow: Promise<void> | undefined;

  @Cached({ domain: 'offers', key: (segment: string) => segment })
  async find(segment: string): Promise<string> {
    const { version } = this;
    await this.slow;
    return `${segment} v${version}`;
  }

  @Invalidates({ domain: 'offers', key: (segment: string) => segment })
  async publish(_segment: string): Promise<void> {
    this.version++;
  }

  @Refreshes({ domain: 'offers', key: (segment: string) => segment })
  async rebuild(segment: string): Promise<string> {
    return `${segment} v${++this.version}`;
  }
}

interface Answering {
  status?(code: number): Answering;
  send(body: unknown): void;
}

@Controller()
class OffersController {
  constructor(
    @Inject(Offers) private readonly offers: Offers,
    @Inject(CacheGuard) private readonly guard: CacheGuard,
  ) {}

  @Get('offers/:segment')
  async find(@Param('segment') segment: string): Promise<{ offer: string }> {
    return { offer: await this.offers.find(segment) };
  }

  @Post('offers/:segment')
  async publish(@Param('segment') segment: string): Promise<{ offer: string }> {
    await this.offers.publish(segment);
    return { offer: await this.offers.find(segment) };
  }

  @Post('rebuilt/:segment')
  async rebuild(@Param('segment') segment: string): Promise<{ offer: string }> {
    return { offer: await this.offers.rebuild(segment) };
  }

  @Post('refused/:segment')
  async refuse(@Param('segment') segment: string): Promise<never> {
    await this.offers.publish(segment);
    throw new ConflictException('somebody was faster');
  }

  @Post('sent/:segment')
  async send(@Param('segment') segment: string, @Res() response: Answering): Promise<void> {
    response.send(segment);
    await this.offers.publish(segment);
  }

  @Get('token')
  async token(@Headers(HEADER) given: string | undefined): Promise<{ given?: string; seen?: string }> {
    return { given, seen: this.guard.sessionToken() };
  }
}

type Adapter = 'Express' | 'Fastify';

interface App {
  readonly offers: Offers;
  readonly logs: LogBook;
  readonly ask: (
    method: 'GET' | 'POST',
    path: string,
    headers?: Record<string, string>,
  ) => Promise<{ status: number; offer: string | undefined; token: string | null; headers: Headers }>;
}

async function start(
  adapter: Adapter,
  session: Type<CacheGuardSession> = CacheGuardSession,
  more: { namespace?: string; afterCommit?: AfterCommit } = {},
): Promise<App> {
  const { namespace = uniqueNamespace('session'), ...options } = more;
  const logs = new LogBook();
  const domains = { offers: { freshness: 'reference' } } as const;
  const compiled = await Test.createTestingModule({
    imports: [CacheGuardModule.forRoot({ namespace, redisUrl: inject('redisUrl'), domains, ...options })],
    providers: [Offers, { provide: APP_INTERCEPTOR, useClass: session }],
    controllers: [OffersController],
  })
    .setLogger(logs)
    .compile();
  const app =
    adapter === 'Express'
      ? compiled.createNestApplication()
      : compiled.createNestApplication<NestFastifyApplication>(new FastifyAdapter());
  onTestFinished(() => app.close());
  await app.listen(0, '127.0.0.1');
  const url = await app.getUrl();
  return {
    offers: app.get(Offers),
    logs,
    ask: async (method, path, headers = {}) => {
      const response = await fetch(`${url}/${path}`, { method, headers });
      const text = await response.text();
      const body = (text.startsWith('{') ? JSON.parse(text) : {}) as { offer?: string };
      return {
        status: response.status,
        offer: body.offer,
        token: response.headers.get(HEADER),
        headers: response.headers,
        ...body,
      };
    },
  };
}

describe.each<Adapter>(['Express', 'Fastify'])('a session over %s', (adapter) => {
  it('is shown its own write in the same request, and later with the token, while others have the old value', async () => {
    const { offers, ask } = await start(adapter);
    expect(await ask('GET', 'offers/gold')).toMatchObject({ offer: 'gold v1', token: null });

    const reloading = gate();
    offers.slow = reloading.passed;
    const own = ask('POST', 'offers/gold');
    await expect.poll(() => offers.version).toBe(2);
    // Stale by now, and nobody waits for what is loaded but the writer.
    expect(await ask('GET', 'offers/gold')).toMatchObject({ offer: 'gold v1', token: null });
    reloading.open();
    const { offer, token } = await own;
    expect(offer).toBe('gold v2');
    expect(token).toMatch(/^v1\.offers~\w+$/);
    expect(await ask('GET', 'offers/gold', { [HEADER]: token! })).toMatchObject({ offer: 'gold v2', token: null });
  });

  it('goes on in another process', async () => {
    const namespace = uniqueNamespace('session');
    const [one, two] = [
      await start(adapter, CacheGuardSession, { namespace }),
      await start(adapter, CacheGuardSession, { namespace }),
    ];
    await one.ask('GET', 'offers/gold');
    expect(await two.ask('GET', 'offers/gold')).toMatchObject({ offer: 'gold v1' });
    two.offers.version = 2;
    const { token, status } = await one.ask('POST', 'refused/gold');
    expect(status).toBe(409);
    expect(token).toMatch(/^v1\.offers~/);
    expect(await two.ask('GET', 'offers/gold', { [HEADER]: token! })).toMatchObject({ offer: 'gold v2' });
  });

  it('hears of every kind of write, and of none that there was not', async () => {
    const { ask } = await start(adapter);
    expect(await ask('POST', 'rebuilt/gold')).toMatchObject({
      offer: 'gold v2',
      token: expect.stringMatching(/^v1\.offers~/),
    });
    expect(await ask('GET', 'token', { [HEADER]: 'v1.offers~1' })).toMatchObject({ token: null });
  });

  it('goes on within the handler, and ignores what is no token', async () => {
    const { ask } = await start(adapter);
    const { token } = await ask('POST', 'offers/gold');
    expect(await ask('GET', 'token', { [HEADER]: token! })).toMatchObject({ seen: token, token: null });
    for (const forged of ['v1.offers~', 'nonsense', 'x'.repeat(5_000), 'v1.others~abc']) {
      const answer = await ask('GET', 'token', { [HEADER]: forged });
      expect(answer).toMatchObject({ given: forged, token: null, status: 200 });
      expect(answer).not.toHaveProperty('seen');
    }
  });

  it('leaves alone a handler that has answered already', async () => {
    const { offers, ask, logs } = await start(adapter);
    expect(await ask('POST', 'sent/gold')).toMatchObject({ status: 201, token: null });
    await expect.poll(() => offers.version).toBe(2);
    expect(await ask('GET', 'offers/gold')).toMatchObject({ status: 200 });
    expect(logs.of('error')).toEqual([]);
  });

  it('sees what is deferred until after a commit', async () => {
    const actions: (() => Promise<void>)[] = [];
    const { ask, offers } = await start(adapter, CacheGuardSession, {
      afterCommit: (action) => actions.push(action) > 0,
    });
    offers.publish = async function (this: Offers, segment) {
      await Offers.prototype.publish.call(this, segment);
      expect(actions).toHaveLength(1);
      await Promise.all(actions.map((action) => action()));
    };
    expect((await ask('POST', 'offers/gold')).token).toMatch(/^v1\.offers~/);
  });

  it('has its token where the application wants it', async () => {
    const named = await start(adapter, CacheGuardSession.carriedBy('X-Own-Session'));
    const first = await named.ask('POST', 'offers/gold');
    expect(first.token).toBeNull();
    const token = first.headers.get('x-own-session')!;
    expect(await named.ask('GET', 'token', { 'x-own-session': token })).toMatchObject({ seen: token });

    interface Response {
      header(name: string, value: string): void;
    }
    const cookie = CacheGuardSession.carriedBy<{ headers: { cookie?: string } }, Response>({
      read: ({ headers }) => /(?:^|; )session=([^;]+)/.exec(headers.cookie ?? '')?.[1],
      write: (response, text) => response.header('set-cookie', `session=${text}; HttpOnly`),
    });
    const carried = await start(adapter, cookie);
    const set = (await carried.ask('POST', 'offers/gold')).headers.get('set-cookie')!;
    const [pair] = set.split(';');
    expect(await carried.ask('GET', 'token', { cookie: pair! })).toMatchObject({
      seen: pair!.slice('session='.length),
    });
  });
});

it('can be had for one controller alone', async () => {
  @Controller()
  @UseInterceptors(CacheGuardSession)
  class Scoped {
    constructor(@Inject(CacheGuard) private readonly guard: CacheGuard) {}

    @Post('scoped')
    async write(): Promise<void> {
      await this.guard.invalidateDomain('offers');
    }
  }
  const root = CacheGuardModule.forRoot({
    namespace: uniqueNamespace('session'),
    domains: { offers: { freshness: 'reference' } },
  });
  const compiled = await Test.createTestingModule({ imports: [root], controllers: [Scoped] }).compile();
  const app = compiled.createNestApplication();
  onTestFinished(() => app.close());
  await app.listen(0, '127.0.0.1');
  const response = await fetch(`${await app.getUrl()}/scoped`, { method: 'POST' });
  expect(response.headers.get(HEADER)).toMatch(/^v1\.offers~/);
});
