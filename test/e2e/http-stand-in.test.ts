import { Controller, Get, Headers, Inject, Param, Scope } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import { RouterExecutionContext } from '@nestjs/core/router/router-execution-context.js';
import { Cached, type DomainPolicies } from 'nestjs-cache-guard';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ADAPTERS, listenOn } from './support/http-face.js';

/** Who answers a request: the handler that was decorated, a function in its place, or one that calls another. */

const domains: DomainPolicies = {
  offers: { freshness: 'reference', jitter: 0 },
  fleeting: { freshness: 'reference', stalePolicy: 'no-store' },
};
type Handler = (this: unknown, ...args: unknown[]) => unknown;
type Create = (instance: object, callback: Handler, ...rest: unknown[]) => unknown;

interface AnyRequest {
  readonly params: Record<string, string>;
  readonly headers: Record<string, string | undefined>;
}

@Controller({ path: ':tenant/offers', scope: Scope.REQUEST })
class Tenants {
  constructor(@Inject(REQUEST) private readonly request: AnyRequest) {}

  @Get()
  @Cached({ domain: 'offers' })
  async list(): Promise<object> {
    const { params, headers } = this.request;
    return { tenant: params['tenant'], user: headers['authorization'] ?? 'nobody' };
  }
}

class Base {
  loads = 0;

  @Get('text')
  @Cached({ domain: 'offers', http: { vary: { headers: ['x-lang'] } } })
  async text(@Headers() headers?: Record<string, string>): Promise<string> {
    return `${headers?.['x-lang']} ${++this.loads}`;
  }
}

@Controller('plain')
class Plain extends Base {
  @Get('both')
  async both(): Promise<string> {
    return `${await this.text()} ${await this.text()}`;
  }
}

@Controller('other')
class Other extends Base {
  plain: Plain | undefined;

  @Get('theirs')
  async theirs(): Promise<string> {
    return this.plain!.text();
  }
}

class Versioned {
  lang = '';
  loads = 0;

  @Get('x')
  @Cached({ domain: 'offers', http: { vary: { headers: ['x-lang'] } } })
  async x(@Param('none') _none?: string): Promise<string> {
    this.loads++;
    return this.lang;
  }
}

@Controller('outer')
class Outer extends Versioned {
  @Get('x')
  @Cached({ domain: 'fleeting' })
  override async x(): Promise<string> {
    return `outer ${await super.x()}`;
  }
}

/** As tracing tools do it. */
function standIn(handler: Handler, withMetadata: boolean): Handler {
  const traced = function (this: unknown, ...args: unknown[]): unknown {
    return Reflect.apply(handler, this, args);
  };
  if (withMetadata) {
    Object.defineProperty(traced, 'name', { value: handler.name });
    for (const key of Reflect.getMetadataKeys(handler) as unknown[])
      Reflect.defineMetadata(key, Reflect.getMetadata(key, handler), traced);
  }
  return traced;
}

describe.each(ADAPTERS)('under %s', (adapter) => {
  describe.each([
    ['with its metadata', true],
    ['that shows nothing', false],
  ])('a function in the place of a handler, %s', (what, withMetadata) => {
    const prototype = RouterExecutionContext.prototype as unknown as { create: Create };
    const { create } = prototype;
    beforeEach(() => {
      prototype.create = function (this: unknown, instance, callback, ...rest) {
        return Reflect.apply(create, this, [instance, standIn(callback, withMetadata), ...rest]);
      };
    });
    afterEach(() => {
      prototype.create = create;
    });

    it(`${what}, shares nothing that the handler would not share [${adapter}]`, async () => {
      const { ask, reasons } = await listenOn(adapter, { controllers: [Tenants] }, { domains });
      const seen = [];
      for (const [tenant, user] of [
        ['acme', 'ada'],
        ['evil', 'bob'],
        ['acme', undefined],
        ['evil', undefined],
      ] as const) {
        const headers: Record<string, string> = user ? { authorization: user } : {};
        const answer = await ask(`/${tenant}/offers`, { headers });
        expect(JSON.parse(answer.body)).toEqual({ tenant, user: user ?? 'nobody' });
        seen.push(answer.headers['cache-control']);
      }
      const own = withMetadata ? expect.stringMatching(/^public, max-age/) : 'private, no-store';
      expect(seen).toEqual(['private, no-store', 'private, no-store', own, own]);
      const passed = withMetadata ? 'credentials' : 'unknown-handler';
      expect(new Set(reasons())).toEqual(new Set([passed]));
    });

    it(`${what}, is the handler on hits, or nothing [${adapter}]`, async () => {
      const { ask } = await listenOn(adapter, { controllers: [Tenants] }, { domains });
      await ask('/acme/offers');
      const { headers } = await ask('/acme/offers');
      expect(headers['cache-status']).toContain(withMetadata ? '; hit' : 'detail=unknown-handler');
    });
  });

  it(`a route that another handler calls is a method there: of the request it knows nothing [${adapter}]`, async () => {
    const { ask, of, reasons } = await listenOn(adapter, { controllers: [Plain, Other] }, { domains });
    of<Other>(Other).plain = of<Plain>(Plain);
    for (const path of ['/plain/both', '/other/theirs']) {
      const { headers, body, status } = await ask(path, { headers: { 'x-lang': 'de', authorization: 'Bearer x' } });
      expect([status, body]).toEqual([200, path === '/plain/both' ? 'undefined 1 undefined 1' : 'undefined 1']);
      expect([headers['cache-status'], headers['cache-control']]).toEqual([undefined, undefined]);
    }
    expect(reasons()).toEqual([]);
  });

  it(`an overridden route keeps its own rules, and leaves the headers to the one that overrides it [${adapter}]`, async () => {
    const { ask, of } = await listenOn(adapter, { controllers: [Outer] }, { domains });
    for (const lang of ['de', 'en', 'de']) {
      const outer = of<Outer>(Outer);
      outer.lang = lang;
      const { body, headers } = await ask('/outer/x', { headers: { 'x-lang': lang } });
      expect(body).toBe(`outer ${lang}`);
      expect([headers['vary'], headers['cache-control']]).toEqual([undefined, 'no-store']);
      expect(headers['cache-status']).toContain('fwd=');
    }
    expect(of<Outer>(Outer).loads).toBe(2);
  });
});
