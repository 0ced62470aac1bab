import { Controller, Get, Injectable, Param, UseGuards, type CanActivate, type INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Cached, CacheGuard, CacheGuardModule } from 'nestjs-cache-guard';
import { expect, inject, onTestFinished, test } from 'vitest';
import { uniqueNamespace } from '../support/namespace.js';
import { gate } from './support/source.js';

let visits = 0;

@Injectable()
class Turnstile implements CanActivate {
  canActivate(): boolean {
    visits++;
    return true;
  }
}

@Controller('offers')
class OffersController {
  loads: string[] = [];
  release = gate();

  @Cached({ domain: 'offers' })
  @Get()
  @UseGuards(Turnstile)
  async all(): Promise<string[]> {
    this.loads.push('all');
    await this.release.opened;
    return ['gold', 'silver'];
  }

  @Get(':segment')
  @Cached({ domain: 'offers', key: (segment: string) => segment })
  async one(@Param('segment') segment: string): Promise<{ segment: string }> {
    this.loads.push(segment);
    return { segment };
  }
}

async function start(): Promise<{ app: INestApplication; controller: OffersController; url: string }> {
  const root = CacheGuardModule.forRoot({
    namespace: uniqueNamespace(),
    redisUrl: inject('redisUrl'),
    domains: { offers: { freshness: 'reference' } },
  });
  const compiled = await Test.createTestingModule({ imports: [root], controllers: [OffersController] }).compile();
  const app = compiled.createNestApplication({ logger: false });
  onTestFinished(() => app.close());
  await app.listen(0, '127.0.0.1');
  return { app, controller: app.get(OffersController), url: await app.getUrl() };
}

test('promise 1: a guarded method that is also a route costs one load, for requests and calls together', async () => {
  const { app, controller, url } = await start();
  visits = 0;
  const guard = app.get(CacheGuard);
  const heard: string[] = [];
  guard.on(({ type }) => heard.push(type));
  const requests = Array.from({ length: 20 }, () => fetch(`${url}/offers`));
  // What frameworks hand over beyond what a method declares is no part of its call.
  const more: unknown[] = [() => 'a request'];
  const call = controller.all(...(more as []));
  while (heard.filter((type) => type === 'miss').length < 21) await new Promise((resolve) => setImmediate(resolve));
  controller.release.open();
  for (const response of await Promise.all(requests)) {
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual(['gold', 'silver']);
  }
  expect(await call).toEqual(['gold', 'silver']);
  expect(controller.loads).toEqual(['all']);
  // Guards of the route run for each request: what is guarded is the method, not the response.
  expect(visits).toBe(20);
  expect(guard.policies().map(({ domain }) => domain)).toEqual(['offers']);
});

test('promise 1: the same below the route decorator, with a key from a parameter', async () => {
  const { controller, url } = await start();
  const get = async (segment: string) => (await fetch(`${url}/offers/${segment}`)).json();
  expect(await get('gold')).toEqual({ segment: 'gold' });
  expect(await get('gold')).toEqual({ segment: 'gold' });
  expect(await get('silver')).toEqual({ segment: 'silver' });
  expect(await controller.one('gold')).toEqual({ segment: 'gold' });
  expect(controller.loads).toEqual(['gold', 'silver']);
});
