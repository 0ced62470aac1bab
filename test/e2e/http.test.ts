import {
  applyDecorators,
  BadRequestException,
  Controller,
  Get,
  Header,
  HttpCode,
  HttpException,
  Inject,
  Injectable,
  NotFoundException,
  Param,
  ParseIntPipe,
  Post,
  Query,
  Scope,
  SetMetadata,
  UseGuards,
  UseInterceptors,
  UsePipes,
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  type NestInterceptor,
  type PipeTransform,
} from '@nestjs/common';
import { Reflector, REQUEST } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { Cached, CacheGuardModule, Invalidates } from 'nestjs-cache-guard';
import { map, type Observable } from 'rxjs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { uniqueNamespace } from '../support/namespace.js';
import { failureOf, gate, listenApp, startApp } from './support/app.js';

const root = () =>
  CacheGuardModule.forRoot({
    namespace: uniqueNamespace(),
    domains: {
      offers: { freshness: 'experience' },
      absences: { freshness: 'reference', isAbsent: (outcome) => 'error' in outcome, isFailure: () => false },
      catalog: {
        freshness: 'reference',
        isAbsent: (outcome) => 'error' in outcome && outcome.error instanceof NotFoundException,
      },
    },
  });

const role = SetMetadata('role', 'customer');

@Injectable()
class RoleGuard implements CanActivate {
  constructor(@Inject(Reflector) private readonly reflector: Reflector) {}

  canActivate(context: ExecutionContext): boolean {
    const { headers } = context.switchToHttp().getRequest<{ headers: Record<string, string> }>();
    return headers['role'] === this.reflector.get('role', context.getHandler());
  }
}

@Injectable()
class Wrap implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(map((value: unknown) => ({ handler: context.getHandler().name, value })));
  }
}

@Injectable()
class Upper implements PipeTransform {
  transform(value: unknown): unknown {
    return typeof value === 'string' ? value.toUpperCase() : value;
  }
}

const route = (path: string) =>
  applyDecorators(
    Get(path),
    role,
    UseGuards(RoleGuard),
    UseInterceptors(Wrap),
    UsePipes(Upper),
    Header('x-kept', 'yes'),
  );

describe('a route handler', () => {
  @Controller()
  class OffersController {
    loads = 0;

    @Cached({ domain: 'offers', name: 'above', key: (segment: string, page: number) => [segment, page] })
    @route('above/:segment')
    async above(@Param('segment') segment: string, @Query('page', ParseIntPipe) page: number): Promise<string> {
      return `${segment} ${page} ${++this.loads}`;
    }

    @route('below/:segment')
    @Cached({ domain: 'offers', name: 'below', key: (segment: string, page: number) => [segment, page] })
    async below(@Param('segment') segment: string, @Query('page', ParseIntPipe) page: number): Promise<string> {
      return `${segment} ${page} ${++this.loads}`;
    }

    @Get('between/:segment')
    @UseGuards(RoleGuard)
    @Cached({ domain: 'offers' })
    @UseInterceptors(Wrap)
    @UsePipes(Upper)
    @role
    async between(@Param('segment') segment: string, @Query('page', ParseIntPipe) page: number): Promise<string> {
      return `${segment} ${page} ${++this.loads}`;
    }
  }

  it.each(['above', 'below', 'between'])('is cached once, %s its other decorators', async (place) => {
    const { get, of } = await listenApp({ imports: [root()], controllers: [OffersController] });
    const { loads } = of<OffersController>(OffersController);
    const ask = (headers: Record<string, string>) => get(`/${place}/gold?page=1`, headers);
    expect((await ask({ role: 'nobody' })).status).toBe(403);
    const expected = { status: 200, body: { handler: place, value: `GOLD 1 ${loads + 1}` } };
    expect(await ask({ role: 'customer' })).toEqual(expected);
    expect(await ask({ role: 'customer' })).toEqual(expected);
    expect((await ask({ role: 'nobody' })).status).toBe(403);
    expect((await get(`/${place}/gold?page=x`, { role: 'customer' })).status).toBe(400);
  });

  it('has the metadata of its method, with every decorator', () => {
    for (const name of ['above', 'below', 'between'] as const) {
      const handler = OffersController.prototype[name];
      expect(Reflect.getMetadata('role', handler)).toBe('customer');
      expect([handler.name, handler.length]).toEqual([name, 2]);
    }
  });

  it('without parameter decorators is one call, whatever Nest hands over', async () => {
    @Controller()
    class ListController {
      loads = 0;

      @Get('list')
      @Cached({ domain: 'offers' })
      async list(): Promise<{ load: number }> {
        return { load: ++this.loads };
      }

      @Post('list')
      @HttpCode(204)
      @Invalidates({ domain: 'offers', all: true, mode: 'remove' })
      async clear(): Promise<void> {}
    }
    const { get, app } = await listenApp({ imports: [root()], controllers: [ListController] });
    expect([await get('/list'), await get('/list')]).toMatchObject([{ body: { load: 1 } }, { body: { load: 1 } }]);
    expect((await fetch(`${await app.getUrl()}/list`, { method: 'POST' })).status).toBe(204);
    expect(await get('/list')).toMatchObject({ body: { load: 2 } });
  });

  it('answers a client’s mistake as if there were no cache, and keeps an absence', async () => {
    @Controller()
    class CatalogController {
      calls = 0;

      @Get(':id')
      @Cached({ domain: 'catalog', key: (id: string) => id })
      async get(@Param('id') id: string): Promise<string> {
        this.calls++;
        if (id === 'bad') throw new BadRequestException('bad id');
        throw new NotFoundException({ message: 'no such product', id });
      }
    }
    const { get, of } = await listenApp({ imports: [root()], controllers: [CatalogController] });
    const controller = of<CatalogController>(CatalogController);
    const absent = { status: 404, body: { message: 'no such product', id: '7' } };
    expect([await get('/7'), await get('/7')]).toEqual([absent, absent]);
    expect(controller.calls).toBe(1);
    expect([(await get('/bad')).status, (await get('/bad')).status]).toEqual([400, 400]);
    expect(controller.calls).toBe(3);
  });
});

describe('an absence that is thrown', () => {
  class NoSuchOffer extends NotFoundException {
    constructor(readonly id: string) {
      super({ message: `no offer ${id}`, id });
    }
  }

  @Injectable()
  class Catalog {
    calls = 0;

    @Cached({ domain: 'absences' })
    async get(kind: 'own exception' | 'plain exception' | 'error'): Promise<never> {
      this.calls++;
      if (kind === 'own exception') throw new NoSuchOffer('7');
      if (kind === 'plain exception') throw new HttpException('gone fishing', 404);
      throw Object.assign(new RangeError('none left'), { code: 'NONE' });
    }
  }

  it.each([
    ['own exception', NotFoundException, { name: 'NoSuchOffer', message: 'no offer 7', status: 404 }],
    ['plain exception', HttpException, { name: 'HttpException', message: 'gone fishing', response: 'gone fishing' }],
    ['error', Error, { name: 'RangeError', message: 'none left', code: 'NONE' }],
  ] as const)('is thrown again by a hit: %s', async (kind, type, fields) => {
    const { of } = await startApp({ imports: [root()], providers: [Catalog] });
    const catalog = of<Catalog>(Catalog);
    for (const error of [await failureOf(() => catalog.get(kind)), await failureOf(() => catalog.get(kind))]) {
      expect(error).toBeInstanceOf(type);
      expect(error).toMatchObject(fields);
    }
    expect(catalog.calls).toBe(1);
  });
});

describe('request scope', () => {
  @Injectable({ scope: Scope.REQUEST })
  class Offers {
    static made = 0;
    static loads = 0;

    constructor(@Inject(REQUEST) private readonly request: { headers: Record<string, string> }) {
      Offers.made++;
    }

    @Cached({ domain: 'offers', key: (segment: string) => segment })
    async find(segment: string): Promise<string> {
      return `${segment} for ${this.request.headers['tenant']} ${++Offers.loads}`;
    }
  }

  @Controller()
  class OffersController {
    constructor(@Inject(Offers) private readonly offers: Offers) {}

    @Get(':segment')
    find(@Param('segment') segment: string): Promise<string> {
      return this.offers.find(segment);
    }
  }

  it('serves all requests from one cache', async () => {
    const { get } = await listenApp({ imports: [root()], providers: [Offers], controllers: [OffersController] });
    expect(await get('/gold', { tenant: 'one' })).toMatchObject({ body: 'gold for one 1' });
    expect(await get('/gold', { tenant: 'two' })).toMatchObject({ body: 'gold for one 1' });
    expect(Offers.made).toBe(2);
  });

  it('reaches controllers that are made for each request', async () => {
    @Controller({ scope: Scope.REQUEST })
    class ScopedController {
      static loads = 0;

      @Get()
      @Cached({ domain: 'offers' })
      async list(): Promise<string> {
        return `load ${++ScopedController.loads}`;
      }
    }
    const { get } = await listenApp({ imports: [root()], controllers: [ScopedController] });
    expect([(await get('/')).body, (await get('/')).body]).toEqual(['load 1', 'load 1']);
  });
});

describe('Fastify', () => {
  it('is served like Express', async () => {
    @Controller()
    class OffersController {
      loads = 0;

      @Get('one/:id')
      @Cached({ domain: 'offers', key: (id: string) => id })
      async one(@Param('id') id: string): Promise<{ id: string; load: number }> {
        return { id, load: ++this.loads };
      }

      @Cached({ domain: 'offers' })
      @Get('list')
      async list(): Promise<{ load: number }> {
        return { load: ++this.loads };
      }
    }
    const compiled = await Test.createTestingModule({ imports: [root()], controllers: [OffersController] }).compile();
    const app = compiled.createNestApplication<NestFastifyApplication>(new FastifyAdapter(), { logger: false });
    onTestFinished(() => app.close());
    await app.listen(0, '127.0.0.1');
    const get = async (path: string) => (await fetch(`${await app.getUrl()}${path}`)).json();
    expect([await get('/one/a'), await get('/one/a')]).toEqual([
      { id: 'a', load: 1 },
      { id: 'a', load: 1 },
    ]);
    expect([await get('/list'), await get('/list')]).toEqual([{ load: 2 }, { load: 2 }]);
  });
});

describe('shutdown', () => {
  it('lets requests under way finish with the cache before it closes', async () => {
    const steps: string[] = [];
    const running = gate();
    const finished = gate();

    @Controller()
    class SlowController {
      @Get()
      @Cached({ domain: 'offers' })
      async list(): Promise<string> {
        running.open();
        await finished.passed;
        steps.push('loaded');
        return 'done';
      }
    }
    const { get, app, guard } = await listenApp({ imports: [root()], controllers: [SlowController] });
    const close = guard.close.bind(guard);
    guard.close = () => {
      steps.push('closing');
      return close();
    };
    const response = get('/');
    await running.passed;
    const closed = app.close();
    finished.open();
    expect(await response).toEqual({ status: 200, body: 'done' });
    await closed;
    expect(steps).toEqual(['loaded', 'closing']);
  });
});
