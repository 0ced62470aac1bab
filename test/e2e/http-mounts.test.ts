import {
  Controller,
  Get,
  Inject,
  Injectable,
  Module,
  Version,
  VERSION_NEUTRAL,
  VersioningType,
  type INestApplication,
  type Type,
  type VersioningOptions,
} from '@nestjs/common';
import { RouterModule } from '@nestjs/core';
import { argsKey, Cached, Follows, routeKey, type DomainPolicies } from 'nestjs-cache-guard';
import { describe, expect, it } from 'vitest';
import { failureOf } from './support/app.js';
import { ADAPTERS, listenOn, type Adapter } from './support/http-face.js';

const domains: DomainPolicies = { offers: { freshness: 'reference' } };
const TENANT = Symbol('tenant');

@Controller()
class Dynamic {
  constructor(@Inject(TENANT) readonly tenant: string) {}

  @Get('dyn')
  @Cached({ domain: 'offers' })
  async find(): Promise<string> {
    return `for ${this.tenant}`;
  }
}

/** Where the instance does not show how it was reached, only a count does. */
@Controller('k')
class Counting {
  loads = 0;

  @Get()
  @Cached({ domain: 'offers' })
  async find(): Promise<string> {
    return `load ${++this.loads}`;
  }

  @Get('one')
  @Version('1')
  @Cached({ domain: 'offers' })
  async one(): Promise<string> {
    return `one ${++this.loads}`;
  }

  @Get('both')
  @Version(['1', '2'])
  @Cached({ domain: 'offers' })
  async both(): Promise<string> {
    return `both ${++this.loads}`;
  }

  @Get('both/keyed')
  @Version(['1', '2'])
  @Cached({ domain: 'offers', name: 'keyed', key: () => 'all' })
  async keyed(): Promise<string> {
    return `keyed ${++this.loads}`;
  }
}

const moduleOf = (type: Type, tenant: string): Type => {
  @Module({ controllers: [type], providers: [{ provide: TENANT, useValue: tenant }] })
  class TenantModule {}
  return TenantModule;
};

const mounted = (type: Type) => {
  const [acme, evil] = [moduleOf(type, 'acme'), moduleOf(type, 'evil')];
  const routes = RouterModule.register([
    { path: 'acme', module: acme },
    { path: 'evil', module: evil },
  ]);
  return [acme, evil, routes];
};

const versioned = (adapter: Adapter, versioning: VersioningOptions, controllers: Type[] = [Counting]) =>
  listenOn(adapter, { controllers }, { domains }, (app: INestApplication) => {
    app.enableVersioning(versioning);
  });

const byHeader = { type: VersioningType.HEADER, header: 'X-Api-Version' } as const;

describe.each(ADAPTERS)('a route under %s', (adapter) => {
  it(`that two modules mount is kept for each path [${adapter}]`, async () => {
    const { ask, guard } = await listenOn(adapter, { imports: mounted(Dynamic) }, { domains });
    const body = async (path: string) => (await ask(path)).body;
    expect(await body('/acme/dyn')).toBe('for acme');
    expect(await body('/evil/dyn')).toBe('for evil');
    expect((await ask('/acme/dyn')).headers['cache-status']).toMatch(/; hit/);
    const target = { domain: 'offers', name: 'Dynamic.find' };
    await guard.invalidate({ ...target, key: routeKey({ path: '/acme/dyn' }), mode: 'remove' });
    expect((await ask('/acme/dyn')).headers['cache-status']).not.toMatch(/; hit/);
    expect((await ask('/evil/dyn')).headers['cache-status']).toMatch(/; hit/);
  });

  it(`with several default versions in the path is kept for each [${adapter}]`, async () => {
    const { ask, guard } = await versioned(adapter, { type: VersioningType.URI, defaultVersion: ['1', '2'] });
    const body = async (path: string) => (await ask(path)).body;
    expect(await body('/v1/k')).toBe('load 1');
    expect(await body('/v2/k')).toBe('load 2');
    expect(await body('/v1/k')).toBe('load 1');
    // One that has a version of its own has the key of its arguments.
    expect(await body('/v1/k/one')).toBe('one 3');
    expect(await guard.peek({ domain: 'offers', name: 'Counting.one', key: argsKey() })).toMatchObject({
      value: 'one 3',
    });
  });

  it.each<[string, VersioningOptions, (version: string) => Record<string, string>, string]>([
    ['a header', byHeader, (version) => ({ 'x-api-version': version }), 'X-Api-Version'],
    [
      'Accept',
      { type: VersioningType.MEDIA_TYPE, key: 'v=' },
      (version) => ({ accept: `application/json;v=${version}` }),
      'Accept',
    ],
  ])(`whose version is in %s names it in Vary, and keeps each [${adapter}]`, async (_, versioning, headers, vary) => {
    const { ask } = await versioned(adapter, versioning);
    const heard = (path: string, version: string) => ask(path, { headers: headers(version) });
    const one = await heard('/k/one', '1');
    expect(one.headers).toMatchObject({ vary, 'cache-control': expect.stringMatching(/^public/) });
    expect((await heard('/k/both', '1')).body).toBe('both 2');
    expect((await heard('/k/both', '2')).body).toBe('both 3');
    expect((await heard('/k/both', '1')).body).toBe('both 2');
    // An explicit key says itself what it depends on; caches downstream are told all the same.
    expect((await heard('/k/both/keyed', '1')).body).toBe('keyed 4');
    expect((await heard('/k/both/keyed', '2')).body).toBe('keyed 4');
    expect((await heard('/k/both/keyed', '2')).headers).toMatchObject({ vary });
  });

  it(`whose version a function reads is private, and kept for each [${adapter}]`, async () => {
    const extractor = (request: unknown) => String((request as { headers: Record<string, string> }).headers['x-odd']);
    const { ask } = await versioned(adapter, { type: VersioningType.CUSTOM, extractor });
    const heard = (path: string, version: string) => ask(path, { headers: { 'x-odd': version } });
    expect((await heard('/k/one', '1')).headers['cache-control']).toMatch(/^private, max-age/);
    expect((await heard('/k/both', '1')).body).toBe('both 2');
    expect((await heard('/k/both', '2')).body).toBe('both 3');
    expect((await heard('/k/both', '1')).body).toBe('both 2');
  });

  it(`is planned for each application of a process [${adapter}]`, async () => {
    const plain = await listenOn(adapter, { controllers: [Counting] }, { domains });
    expect((await plain.ask('/k/one')).headers['vary']).toBeUndefined();
    const { ask } = await versioned(adapter, byHeader);
    expect((await ask('/k/one', { headers: { 'x-api-version': '1' } })).headers['vary']).toBe('X-Api-Version');
  });
});

it('a version that fits every request is none of several', async () => {
  @Controller({ path: 'neutral', version: VERSION_NEUTRAL })
  class Neutral {
    @Get()
    @Cached({ domain: 'offers' })
    async find(): Promise<string> {
      return 'neutral';
    }
  }
  const { ask, guard } = await versioned('Express', { ...byHeader, defaultVersion: ['1', '2'] }, [Neutral]);
  expect((await ask('/neutral')).headers['vary']).toBe('X-Api-Version');
  expect(await guard.peek({ domain: 'offers', name: 'Neutral.find', key: argsKey() })).toBeDefined();
});

it('events cannot name the keys of a route with several paths', async () => {
  @Injectable()
  @Controller(['first', 'second'])
  class Following {
    @Get()
    @Follows({ on: 'changed', args: () => [] })
    @Cached({ domain: 'offers' })
    async find(): Promise<string> {
      return 'found';
    }
  }
  const error = await failureOf(() => listenOn('Express', { controllers: [Following] }, { domains }));
  expect(error).toMatchObject({ code: 'CG_INVALID_DECORATION', method: 'Following.find' });
  expect(String(error)).toMatch(/@Follows names its keys by arguments.*several paths/);
});

it('a method of a controller that is no route has no path: two objects of it are refused', async () => {
  @Controller()
  class Helping {
    @Cached({ domain: 'offers' })
    async help(): Promise<string> {
      return 'help';
    }

    @Get('help')
    find(): Promise<string> {
      return this.help();
    }
  }
  const error = await failureOf(() => listenOn('Express', { imports: mounted(Helping) }, { domains }));
  expect(error).toMatchObject({ code: 'CG_NAME_CLASH', method: 'Helping.help' });
});
