import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { uniqueNamespace } from '../support/namespace.js';
import { freePort } from '../support/ports.js';
import { InstalledApp, type AppPlan } from './support/apps.js';
import { packLibrary, type Tarball } from './support/tarball.js';

const PATIENCE_MS = 180_000;

const nest = (major: number): Record<string, string> => ({
  '@nestjs/common': `^${major}.0.0`,
  '@nestjs/core': `^${major}.0.0`,
  'reflect-metadata': '^0.2.0',
  rxjs: '^7.8.0',
});
const ioredis = (major: number): Record<string, string> => ({ ioredis: `^${major}.0.0` });
const events = (nestMajor: number): Record<string, string> => ({
  '@nestjs/event-emitter': nestMajor === 11 ? '^3.0.0' : `^${nestMajor}.0.0`,
  '@nestjs/microservices': `^${nestMajor}.0.0`,
});

const NEST11_CJS: AppPlan = {
  name: 'nest11-cjs-ioredis5',
  modules: 'commonjs',
  packages: { ...nest(11), ...events(11), ...ioredis(5) },
};
const NEST12_ESM: AppPlan = {
  name: 'nest12-esm-ioredis6',
  modules: 'esm',
  packages: { ...nest(12), ...events(12), ...ioredis(6) },
};
const NEST12_CJS: AppPlan = {
  name: 'nest12-cjs-ioredis5',
  modules: 'commonjs',
  packages: { ...nest(12), ...events(12), ...ioredis(5) },
};
const NEST11_ALONE: AppPlan = { name: 'nest11-esm-no-redis', modules: 'esm', packages: nest(11) };
const WITH_REDIS = [NEST11_CJS, NEST12_ESM, NEST12_CJS];
const ALL = [...WITH_REDIS, NEST11_ALONE];

const OPTIONAL_PEERS = ['ioredis', 'msgpackr', 'prom-client', '@nestjs/event-emitter', '@nestjs/microservices'];

let tarball: Tarball;
const installed = new Map<AppPlan, Promise<InstalledApp>>();

/** Installed and compiled once, by the first test that asks. */
function appOf(plan: AppPlan): Promise<InstalledApp> {
  const app = installed.get(plan) ?? InstalledApp.install(plan, tarball);
  installed.set(plan, app);
  return app;
}

beforeAll(async () => {
  tarball = await packLibrary('apps');
}, PATIENCE_MS);

afterAll(async () => {
  for (const outcome of await Promise.allSettled(installed.values())) {
    if (outcome.status === 'fulfilled') await outcome.value.remove();
  }
}, PATIENCE_MS);

const inMemory = (): Record<string, string> => ({ APP_NAMESPACE: uniqueNamespace('compat') });

function inRedis(namespace = uniqueNamespace('compat')): Record<string, string> {
  const redisUrl = inject('redisUrl');
  return { APP_NAMESPACE: namespace, REDIS_URL: redisUrl, APP_OPTIONS: JSON.stringify({ redisUrl }) };
}

/** Two calls, one load; an invalidation, a second load. */
function expectedReport({ name, modules }: AppPlan) {
  const offer = (load: number) => ({ segment: 'gold', madeBy: name, load });
  return {
    modules,
    loads: { afterTwoCalls: 1, afterInvalidation: 2 },
    values: [offer(1), offer(1), offer(2)],
    peeked: offer(2),
    invalidation: { outcome: 'applied' },
  };
}

describe.each(ALL)('the packed library in $name', (plan) => {
  let app: InstalledApp;

  beforeAll(async () => {
    app = await appOf(plan);
    app.compile();
  }, PATIENCE_MS);

  it('is installed next to the majors that the plan names', () => {
    const wanted = Object.entries(plan.packages).map(([name, range]) => [name, /\d+/.exec(range)?.[0]]);
    expect(wanted.map(([name]) => [name, app.versionOf(name!)?.split('.')[0]])).toEqual(wanted);
  });

  it('compiles, its declarations checked', () => {
    expect(app.complaints).toEqual([]);
  });

  it('keeps values in memory, and lets the process end', async () => {
    expect(await app.start('main', inMemory())).toEqual(expectedReport(plan));
  });

  it('is imported without effects: no handles, no optional package, no default export', async () => {
    const load = (name: string) => (plan.modules === 'esm' ? `await import('${name}')` : `require('${name}')`);
    const seen = await app.evaluate(`
      const { createRequire } = ${load('node:module')};
      ${load('@nestjs/core')};
      // Nest 11 itself loads some of them, if they are there.
      const before = new Set(Object.keys(createRequire(process.cwd() + '/any.js').cache));
      const main = ${load('nestjs-cache-guard')};
      const testing = ${load('nestjs-cache-guard/testing')};
      // The loader's own file handles are gone in the next turn; the pipes are stdout and stderr.
      setImmediate(() => {
        const loaded = Object.keys(createRequire(process.cwd() + '/any.js').cache).filter((path) => !before.has(path));
        console.log(JSON.stringify({
          handles: process.getActiveResourcesInfo().filter((kind) => kind !== 'PipeWrap'),
          optional: loaded.filter((path) => ${JSON.stringify(OPTIONAL_PEERS)}.some((peer) => path.includes('/node_modules/' + peer + '/'))),
          defaults: [main, testing].filter((namespace) => 'default' in namespace).length,
          named: ['CacheGuardModule', 'CacheGuard', 'Cached', 'Invalidates', 'Refreshes'].filter((name) => name in main),
        }));
      });
    `);
    expect(seen).toEqual({
      handles: [],
      optional: [],
      defaults: 0,
      named: ['CacheGuardModule', 'CacheGuard', 'Cached', 'Invalidates', 'Refreshes'],
    });
  });
});

describe.each(WITH_REDIS)('the packed library with the ioredis of $name', (plan) => {
  it('keeps values in Redis, and lets the process end', async () => {
    const app = await appOf(plan);
    expect(await app.start('main', inRedis())).toEqual(expectedReport(plan));
  });

  it('duplicates a client that it is given, and leaves it open', async () => {
    const app = await appOf(plan);
    expect(await app.start('handed-in', inRedis())).toEqual(expectedReport(plan));
  });

  it('follows domain events, whichever way they come', async () => {
    const app = await appOf(plan);
    const env = inRedis();
    const followed = (source: string) => ({ before: 1, after: 2, source });
    expect(await app.start('domain-events', { ...env, APP_PORT: String(await freePort()) })).toEqual({
      publish: followed('in-process'),
      stream: followed(`${env['APP_NAMESPACE']}:events`),
      emitter: followed('event-emitter'),
      handler: followed('handler'),
      readyMade: followed('ready-made'),
    });
  });
});

describe('one fleet of all of these', () => {
  it('shares values: what Nest 11 with ioredis 5 has loaded is a hit for Nest 12 with ioredis 6', async () => {
    const namespace = uniqueNamespace('compat');
    const hits: unknown[] = [];
    for (const plan of WITH_REDIS) {
      const app = await appOf(plan);
      const { values, loads } = await app.start('main', inRedis(namespace));
      hits.push([plan.name, 'first saw', values[0]?.madeBy, 'after', loads.afterTwoCalls, 'loads']);
    }
    expect(hits).toEqual([
      [NEST11_CJS.name, 'first saw', NEST11_CJS.name, 'after', 1, 'loads'],
      [NEST12_ESM.name, 'first saw', NEST11_CJS.name, 'after', 0, 'loads'],
      [NEST12_CJS.name, 'first saw', NEST12_ESM.name, 'after', 0, 'loads'],
    ]);
  });
});

describe('CommonJS', () => {
  it.each([NEST11_CJS, NEST12_CJS])('gets by require what import gives, in $name', async (plan) => {
    const app = await appOf(plan);
    const same = await app.evaluate(`
      const required = require('nestjs-cache-guard');
      import('nestjs-cache-guard').then((imported) => {
        console.log(JSON.stringify(Object.keys(required).filter((name) => required[name] !== imported[name])));
      });
    `);
    expect(same).toEqual([]);
  });

  it('type-checks under module: node20 and under the older commonjs with node10 resolution', async () => {
    const app = await appOf(NEST11_CJS);
    const older = { module: 'commonjs', moduleResolution: 'node10', ignoreDeprecations: '6.0' };
    expect(app.check({ module: 'node20' })).toEqual([]);
    expect(app.check(older)).toEqual([]);
  });

  it('is refused by the compiler under module: node16, as the documentation says (TS1479, TS1541)', async () => {
    const app = await appOf(NEST11_CJS);
    const complaints = app.check({ module: 'node16' });
    expect(complaints).not.toEqual([]);
    expect(complaints.filter((text) => !/^src\/\S+: TS(1479|1541) /.test(text))).toEqual([]);
  });
});

describe('without the optional packages', () => {
  it('has none of them installed', async () => {
    const app = await appOf(NEST11_ALONE);
    expect(OPTIONAL_PEERS.map((name) => app.versionOf(name))).toEqual(OPTIONAL_PEERS.map(() => undefined));
  });

  it.each([
    ['ioredis', { redisUrl: 'redis://127.0.0.1:6379' }],
    ['msgpackr', { domains: { offers: { freshness: 'experience', codec: 'binary' } } }],
  ])('names the command that installs %s when the options need it', async (name, options) => {
    const app = await appOf(NEST11_ALONE);
    const failed = await app.startRefused({ ...inMemory(), APP_OPTIONS: JSON.stringify(options) });
    expect(failed).toMatchObject({ ours: true, name: 'CacheGuardConfigError', code: 'CG_MISSING_PEER' });
    expect(failed.message).toContain(`npm install ${name}`);
  });
});
