import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { uniqueNamespace } from '../support/namespace.js';
import { InstalledApp, type AppPlan } from './support/apps.js';
import { packLibrary, type Tarball } from './support/tarball.js';

const PATIENCE_MS = 180_000;

const nest = (major: number): Record<string, string> => ({
  '@nestjs/common': `^${major}.0.0`,
  '@nestjs/core': `^${major}.0.0`,
  'reflect-metadata': '^0.2.0',
  rxjs: '^7.8.0',
});

const plans = {
  nest11Cjs: { name: 'nest11-cjs-ioredis5', modules: 'commonjs', dependencies: { ...nest(11), ioredis: '^5.4.0' } },
  nest12Esm: { name: 'nest12-esm-ioredis6', modules: 'esm', dependencies: { ...nest(12), ioredis: '^6.0.0' } },
  nest12Cjs: { name: 'nest12-cjs-ioredis5', modules: 'commonjs', dependencies: { ...nest(12), ioredis: '^5.4.0' } },
  nest11EsmAlone: { name: 'nest11-esm-no-redis', modules: 'esm', dependencies: nest(11) },
} satisfies Record<string, AppPlan>;

let tarball: Tarball;
const installed = new Map<AppPlan, Promise<InstalledApp>>();

/** Installed and compiled once, by the first test that asks. */
function appOf(plan: AppPlan): Promise<InstalledApp> {
  const known = installed.get(plan) ?? InstalledApp.install(plan, tarball);
  installed.set(plan, known);
  return known;
}

beforeAll(async () => {
  tarball = await packLibrary('apps');
}, PATIENCE_MS);

afterAll(async () => {
  for (const outcome of await Promise.allSettled(installed.values())) {
    if (outcome.status === 'fulfilled') outcome.value.remove();
  }
});

/** Two calls, one load; an invalidation, a second load; and all of it comes from the application that ran. */
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

describe.each(Object.values(plans))('the packed library in $name', (plan: AppPlan) => {
  let app: InstalledApp;

  beforeAll(async () => {
    app = await appOf(plan);
  }, PATIENCE_MS);

  it('is installed next to the majors that the plan names', () => {
    const majors = ['@nestjs/common', '@nestjs/core', 'ioredis'].map((name) => app.versionOf(name)?.split('.')[0]);
    const planned = ['@nestjs/common', '@nestjs/core', 'ioredis'].map(
      (name) => /\d+/.exec((plan.dependencies as Record<string, string>)[name] ?? '')?.[0],
    );
    expect(majors).toEqual(planned);
  });

  it('type-checks with its declarations, and compiles', () => {
    expect(app.compile()).toEqual([]);
  });

  it('keeps values in memory', async () => {
    expect(await app.start('main', {})).toEqual(expectedReport(plan));
  });

  it.runIf('ioredis' in plan.dependencies)('keeps values in Redis', async () => {
    const env = { REDIS_URL: inject('redisUrl'), APP_NAMESPACE: uniqueNamespace('compat') };
    expect(await app.start('main', env)).toEqual(expectedReport(plan));
  });

  it.runIf('ioredis' in plan.dependencies)('duplicates a client that it is given, and leaves it open', async () => {
    const env = { REDIS_URL: inject('redisUrl'), APP_NAMESPACE: uniqueNamespace('compat') };
    expect(await app.start('handed-in', env)).toEqual(expectedReport(plan));
  });
});
