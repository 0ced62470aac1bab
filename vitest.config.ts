import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

const REDIS_SETUP = path('./test/support/global-redis.ts');
const FLEET_SETUP = path('./test/support/global-fleet.ts');

/**
 * One vitest project per kind of test.
 *
 * `unit`, `contract`, `redis`, `promises` and `e2e` share module instances between their files (no isolation): a Nest test
 * file then costs milliseconds instead of most of a second. `fleet`, `compat` and `campaign` spawn processes, so they come
 * afterwards, one file at a time.
 */
export default defineConfig({
  resolve: {
    alias: [
      { find: /^nestjs-cache-guard\/testing$/, replacement: path('./lib/testing/index.ts') },
      { find: /^nestjs-cache-guard$/, replacement: path('./lib/index.ts') },
    ],
  },
  // Nest's dependency injection reads the metadata; vite takes tsconfig's flags only for the files in its `include`.
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  test: {
    environment: 'node',
    setupFiles: ['reflect-metadata'],
    testTimeout: 20_000,
    hookTimeout: 60_000,
    reporters: ['default', ['json', { outputFile: '.cache/reports/vitest.json' }]],
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['test/unit/**/*.test.ts'], isolate: false, sequence: { groupOrder: 0 } },
      },
      {
        extends: true,
        test: { name: 'history', include: ['test/history/**/*.test.ts'], sequence: { groupOrder: 0 } },
      },
      {
        extends: true,
        test: {
          name: 'contract',
          include: ['test/contract/**/*.test.ts'],
          globalSetup: [REDIS_SETUP],
          isolate: false,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'redis',
          include: ['test/redis/**/*.test.ts'],
          globalSetup: [REDIS_SETUP],
          isolate: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'promises',
          include: ['test/promises/**/*.test.ts'],
          globalSetup: [REDIS_SETUP],
          isolate: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          globalSetup: [REDIS_SETUP],
          isolate: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'fleet',
          include: ['test/fleet/**/*.test.ts'],
          globalSetup: [REDIS_SETUP, FLEET_SETUP],
          testTimeout: 60_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: 'brokers',
          include: ['test/brokers/**/*.test.ts'],
          globalSetup: [REDIS_SETUP, FLEET_SETUP],
          testTimeout: 60_000,
          // The first run fetches the servers.
          hookTimeout: 300_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          globalSetup: [REDIS_SETUP],
          testTimeout: 60_000,
          // The first run fetches the browser.
          hookTimeout: 300_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: 'campaign',
          include: ['test/campaign/**/*.test.ts'],
          fileParallelism: false,
          sequence: { groupOrder: 4 },
        },
      },
      {
        extends: true,
        test: {
          name: 'compat',
          include: ['test/compat/**/*.test.ts'],
          globalSetup: [REDIS_SETUP],
          testTimeout: 180_000,
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
