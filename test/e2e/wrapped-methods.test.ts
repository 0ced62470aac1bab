import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Cached, CacheGuardModule } from 'nestjs-cache-guard';
import { expect, onTestFinished, test } from 'vitest';

type Body = (...args: unknown[]) => Promise<string>;
type Wrap = (body: Body) => Body;

/** Another library's decorator, applied below `@Cached`, that replaces the method with something that shows no source. */
function Wrapped(wrap: Wrap): MethodDecorator {
  return (_target, _name, descriptor) => {
    descriptor.value = wrap(descriptor.value as unknown as Body) as never;
  };
}

const proxied: Wrap = (body) => new Proxy(body, { apply: (inner, self, args) => Reflect.apply(inner, self, args) });
const bound: Wrap = (body) => body.bind(undefined);

@Injectable()
class Places {
  @Cached({ domain: 'places', name: 'proxied' })
  @Wrapped(proxied)
  async proxied(id = 'none'): Promise<string> {
    return id;
  }

  @Cached({ domain: 'places', name: 'bound' })
  @Wrapped(bound)
  async bound(id = 'none'): Promise<string> {
    return id;
  }
}

test.each(['proxied', 'bound'] as const)('promise 13: the arguments of a %s method count', async (method) => {
  const root = CacheGuardModule.forRoot({ namespace: 'wrapped', domains: { places: { freshness: 'reference' } } });
  const app = await Test.createTestingModule({ imports: [root], providers: [Places] }).compile();
  await app.init();
  onTestFinished(() => app.close());
  const places = app.get(Places);
  expect([await places[method]('a'), await places[method]('b'), await places[method]()]).toEqual(['a', 'b', 'none']);
});

test('a listener that rejects disturbs nobody', async () => {
  const { CacheGuard } = await import('nestjs-cache-guard');
  const root = CacheGuardModule.forRoot({ namespace: 'wrapped', domains: { places: { freshness: 'reference' } } });
  const app = await Test.createTestingModule({ imports: [root] }).compile();
  await app.init();
  onTestFinished(() => app.close());
  const warned = new Promise<Error>((resolve) => void process.once('warning', resolve));
  const guard = app.get(CacheGuard);
  let told = 0;
  const listener = (): unknown =>
    told++ === 0 ? Promise.reject(new Error('a listener of the application')) : undefined;
  guard.on(listener);
  expect(
    await guard.getOrLoad({ domain: 'places', key: 'x' }, async ({ setTtl }) => (setTtl({ softTtl: '1s' }), 1)),
  ).toBe(1);
  expect((await warned).message).toContain('a listener of the application');
});

test('bad input by hand gets a coded error', async () => {
  const { CacheGuard } = await import('nestjs-cache-guard');
  const root = CacheGuardModule.forRoot({ namespace: 'wrapped', domains: { places: { freshness: 'reference' } } });
  const app = await Test.createTestingModule({ imports: [root] }).compile();
  await app.init();
  onTestFinished(() => app.close());
  const guard = app.get(CacheGuard);
  const tags = 'gold' as unknown as string[];
  await expect(guard.invalidateTags({ domain: 'places', tags })).rejects.toMatchObject({ code: 'CG_UNUSABLE_KEY' });
  for (const keys of ['gold', null, { 0: 'gold' }] as unknown as string[][])
    for (const target of [{ keys }, { keys, key: 'x' }])
      await expect(guard.invalidate({ domain: 'places', ...target })).rejects.toMatchObject({
        code: 'CG_UNUSABLE_KEY',
        field: 'keys',
        message: expect.stringContaining('give a list of keys') as unknown,
      });
  const mode = 'zap' as 'expire';
  await expect(guard.invalidate({ domain: 'places', key: 'x', mode })).rejects.toMatchObject({ field: 'mode' });
});
