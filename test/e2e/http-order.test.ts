import {
  applyDecorators,
  Catch,
  Controller,
  createParamDecorator,
  Get,
  Headers,
  HostParam,
  HttpException,
  Injectable,
  Param,
  ParseIntPipe,
  Query,
  Scope,
  UseFilters,
  UseGuards,
  UseInterceptors,
  UsePipes,
  type ArgumentsHost,
  type CallHandler,
  type CanActivate,
  type ExceptionFilter,
  type ExecutionContext,
  type NestInterceptor,
  type PipeTransform,
} from '@nestjs/common';
import { argsKey, Cached, routeKey, type DomainPolicies } from 'nestjs-cache-guard';
import { map, type Observable } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { ADAPTERS, listenOn } from './support/http-face.js';

const domains: DomainPolicies = {
  offers: { freshness: 'reference', isFailure: () => false, isAbsent: (outcome) => 'error' in outcome },
};

const steps: string[] = [];

@Injectable()
class Guard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    steps.push('guard');
    return context.switchToHttp().getRequest<{ headers: Record<string, string> }>().headers['role'] !== 'nobody';
  }
}

@Injectable()
class Pipe implements PipeTransform {
  transform(value: unknown): unknown {
    steps.push('pipe');
    if (value === 'bad') throw new HttpException('bad', 422);
    return value;
  }
}

/** As a serialiser does: it goes by the class of what the handler gave. */
@Injectable()
class Serializer implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    steps.push('interceptor');
    return next.handle().pipe(
      map((value: unknown) => {
        steps.push('serialised');
        return value instanceof Offer ? { id: value.id } : value;
      }),
    );
  }
}

@Catch(HttpException)
class Filter implements ExceptionFilter {
  catch(error: HttpException, host: ArgumentsHost): void {
    steps.push('filter');
    const response = host.switchToHttp().getResponse<{ status(code: number): { send(body: unknown): void } }>();
    response.status(error.getStatus()).send({ filtered: error.message });
  }
}

class Offer {
  constructor(
    readonly id: string,
    readonly secret: string,
  ) {}
}

const decorated = applyDecorators(UseGuards(Guard), UseInterceptors(Serializer), UsePipes(Pipe), UseFilters(Filter));

const Tenant = createParamDecorator(
  (_data, context: ExecutionContext) =>
    context.switchToHttp().getRequest<{ headers: Record<string, string> }>().headers['tenant'],
);

class Paging {
  constructor(readonly page: number) {}
}

@Injectable()
class ToPaging implements PipeTransform {
  transform(value: { page?: string }): Paging {
    return new Paging(Number(value.page ?? 1));
  }
}

@Controller()
class Routes {
  loads = 0;

  @Get('offer/:id')
  @decorated
  @Cached({ domain: 'offers', revive: (plain: unknown) => Object.assign(new Offer('', ''), plain) })
  async offer(@Param('id') id: string): Promise<Offer> {
    steps.push('handler');
    this.loads++;
    if (id === 'none') throw new HttpException('none', 404);
    return new Offer(id, 'secret');
  }

  @Get('tenants/:tenant/offers/:id')
  @Cached({ domain: 'offers', name: 'tenant offers' })
  async ofTenant(@Param('id') id: string): Promise<string> {
    return `${id} ${++this.loads}`;
  }

  @Get(['first/:id', 'second/:id'])
  @Cached({ domain: 'offers' })
  async twoPaths(@Param('id') id: string): Promise<string> {
    return `${id} ${++this.loads}`;
  }

  @Get('all/:a/:b')
  @Cached({ domain: 'offers', name: 'all', http: { query: ['page', 'sort'] } })
  async all(@Param() params: object, @Query() query: object): Promise<string> {
    return `${JSON.stringify([Object.values(params), query])} ${++this.loads}`;
  }

  @Get('paging')
  @Cached({ domain: 'offers', http: { query: ['page', 'sort'] } })
  async paging(@Query(ToPaging) paging: Paging): Promise<string> {
    return `${paging.page} ${++this.loads}`;
  }

  @Get('number')
  @Cached({ domain: 'offers' })
  async number(@Query('page', ParseIntPipe) page: number): Promise<string> {
    return `${page} ${++this.loads}`;
  }

  @Get('header')
  @Cached({ domain: 'offers' })
  async header(@Headers('Accept-Language') language?: string): Promise<string> {
    return `${language} ${++this.loads}`;
  }

  @Get('custom')
  @Cached({ domain: 'offers' })
  async custom(@Tenant() tenant?: string): Promise<string> {
    return `${tenant} ${++this.loads}`;
  }

  @Get('varied/:id')
  @Cached({
    domain: 'offers',
    name: 'varied',
    key: (id: string) => id,
    http: { vary: { headers: ['X-Variant'], cookies: ['lang'], by: (context) => context.getHandler().name } },
  })
  async varied(@Param('id') id: string): Promise<string> {
    return `${id} ${++this.loads}`;
  }
}

@Controller({ host: ':tenant.example.com', path: 'host' })
class Hosts {
  loads = 0;

  @Get('unseen')
  @Cached({ domain: 'offers' })
  async unseen(): Promise<string> {
    return String(++this.loads);
  }

  @Get('taken')
  @Cached({ domain: 'offers' })
  async taken(@HostParam('tenant') tenant: string): Promise<string> {
    return `${tenant} ${++this.loads}`;
  }
}

@Controller({ path: 'scoped', scope: Scope.REQUEST })
class Scoped {
  static loads = 0;

  @Get()
  @Cached({ domain: 'offers' })
  async list(): Promise<string> {
    return String(++Scoped.loads);
  }
}

class Base {
  loads = 0;

  @Get('number')
  @Cached({ domain: 'offers' })
  async number(@Query('page', ParseIntPipe) page: number): Promise<string> {
    return `${page} ${++this.loads}`;
  }
}

/** Overrides what is cached, and calls it. */
@Controller('sub')
class Sub extends Base {
  @Get('number')
  override async number(@Query('page', ParseIntPipe) page: number): Promise<string> {
    return `sub ${await super.number(page)}`;
  }
}

describe.each(ADAPTERS)('a cached route under %s', (adapter) => {
  const start = async () => {
    const face = await listenOn(adapter, { controllers: [Sub, Routes, Hosts, Scoped] }, { domains });
    const body = async (path: string, headers: Record<string, string> = {}) => (await face.ask(path, { headers })).body;
    const stepsOf = async (path: string, headers: Record<string, string> = {}) => {
      steps.length = 0;
      const { status, body: said } = await face.ask(path, { headers });
      return { status, said, steps: [...steps] };
    };
    return { ...face, body, stepsOf, routes: face.of<Routes>(Routes) };
  };

  it(`runs everything around the handler, in its order, on hits as on misses [${adapter}]`, async () => {
    const { stepsOf, routes } = await start();
    const said = '{"id":"7"}';
    const miss = await stepsOf('/offer/7');
    expect(miss).toEqual({ status: 200, said, steps: ['guard', 'interceptor', 'pipe', 'handler', 'serialised'] });
    expect(await stepsOf('/offer/7')).toEqual({ ...miss, steps: miss.steps.filter((step) => step !== 'handler') });
    expect(await stepsOf('/offer/7', { role: 'nobody' })).toMatchObject({ status: 403, steps: ['guard', 'filter'] });
    const bad = { status: 422, said: '{"filtered":"bad"}', steps: ['guard', 'interceptor', 'pipe', 'filter'] };
    expect(await stepsOf('/offer/bad')).toEqual(bad);
    expect(routes.loads).toBe(1);
  });

  it(`hands exceptions to the filters, kept ones too [${adapter}]`, async () => {
    const { stepsOf, routes } = await start();
    const none = { status: 404, said: '{"filtered":"none"}' };
    expect(await stepsOf('/offer/none')).toMatchObject({
      ...none,
      steps: expect.arrayContaining(['handler', 'filter']),
    });
    const kept = await stepsOf('/offer/none');
    expect(kept).toMatchObject({ ...none, steps: ['guard', 'interceptor', 'pipe', 'filter'] });
    expect(routes.loads).toBe(1);
  });

  it.each([
    ['a path parameter that the handler does not take', '/tenants/a/offers/1', '/tenants/b/offers/1'],
    ['one of two paths', '/first/1', '/second/1'],
    ['all path parameters', '/all/1/2', '/all/2/1'],
    ['all of the query', '/all/1/2?page=1', '/all/1/2?page=2'],
    ['a declared parameter that pipes leave out', '/paging?page=1', '/paging?page=1&sort=up'],
  ])(`%s makes another key [${adapter}]`, async (_what, one, other) => {
    const { body, routes } = await start();
    const said = await body(one);
    expect(await body(one)).toBe(said);
    expect(await body(other)).not.toBe(said);
    expect(await body(one)).toBe(said);
    expect(routes.loads).toBe(2);
  });

  it.each([
    ['the order of the query', '/all/1/2?page=1&sort=2', '/all/1/2?sort=2&page=1'],
    ['how it is encoded', '/all/1/2?page=a%20b', '/all/1/2?page=a+b'],
    ['what pipes make equal', '/number?page=2', '/number?page=02'],
    ['what a path parameter is encoded as', '/offer/a-b', '/offer/a%2Db'],
  ])(`%s does not make another key [${adapter}]`, async (_what, one, other) => {
    const { body, routes } = await start();
    const said = await body(one);
    expect(await body(other)).toBe(said);
    expect(routes.loads).toBe(1);
  });

  it.each<[what: string, path: string, name: string, vary: string | undefined]>([
    ['a header that it takes', '/header', 'accept-language', 'Accept-Language'],
    ['a parameter decorator', '/custom', 'tenant', undefined],
    ['a declared header', '/varied/1', 'x-variant', 'X-Variant, Cookie'],
    ['a host name that it does not take', '/host/unseen', 'host', undefined],
    ['a host name that it takes', '/host/taken', 'host', undefined],
  ])(`%s makes another key [${adapter}]`, async (_what, path, name, vary) => {
    const { ask } = await start();
    const values = name === 'host' ? ['a.example.com', 'b.example.com'] : ['a', 'b'];
    const [one, other, again] = [
      await ask(path, { headers: { [name]: values[0]! } }),
      await ask(path, { headers: { [name]: values[1]! } }),
      await ask(path, { headers: { [name]: values[0]! } }),
    ];
    expect(one.status).toBe(200);
    expect(other.body).not.toBe(one.body);
    expect(again.body).toBe(one.body);
    expect(again.headers.vary).toBe(vary);
  });

  it(`can be invalidated from elsewhere [${adapter}]`, async () => {
    const { body, guard, routes } = await start();
    const keys = [
      ['/number?page=2', 'Routes.number', argsKey(2)],
      ['/tenants/a/offers/1', 'tenant offers', routeKey({ args: ['1'], params: { tenant: 'a' } })],
      ['/all/1/2?page=1', 'all', argsKey({ a: '1', b: '2' }, { page: '1' })],
      [
        '/varied/1',
        'varied',
        routeKey({ key: '1', headers: { 'x-variant': 'a' }, cookies: { lang: 'de' }, by: 'varied' }),
      ],
    ] as const;
    for (const [path, name, key] of keys) {
      const headers = { 'x-variant': 'a', cookie: 'lang=de' };
      const asked = path.startsWith('/varied') ? headers : {};
      const before = await body(path, asked);
      expect(await body(path, asked)).toBe(before);
      await guard.invalidate({ domain: 'offers', name, key, mode: 'remove' });
      expect(await body(path, asked)).not.toBe(before);
    }
    expect(routes.loads).toBe(8);
  });

  it(`works on objects that are made for a request, and under a subclass [${adapter}]`, async () => {
    const { ask, body } = await start();
    await ask('/scoped');
    expect((await ask('/scoped')).headers['cache-status']).toContain('; hit;');
    expect(await body('/sub/number?page=3')).toBe('sub 3 1');
    const again = await ask('/sub/number?page=3');
    expect([again.body, again.headers['cache-status']]).toEqual(['sub 3 1', expect.stringContaining('; hit;')]);
  });
});
