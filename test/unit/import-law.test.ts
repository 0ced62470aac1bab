import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkImportLaw, type Sources, type Violation } from '../support/import-law.js';
import { PROJECT_ROOT } from '../support/paths.js';

function readSources(...folders: string[]): Sources {
  const sources = new Map<string, string>();
  for (const folder of folders.map((name) => join(PROJECT_ROOT, name))) {
    if (!existsSync(folder)) continue;
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      if (entry.isFile() && entry.name.endsWith('.ts')) {
        sources.set(relative(PROJECT_ROOT, path).replaceAll('\\', '/'), readFileSync(path, 'utf8'));
      }
    }
  }
  return sources;
}

/** The violations of a small made-up house. */
function check(files: Record<string, string>): Violation[] {
  return checkImportLaw(new Map(Object.entries(files)));
}

const lines = (count: number): string => '//\n'.repeat(count);

const rulesOf = (files: Record<string, string>): string[] => check(files).map(({ rule }) => rule);

/** The rule that a single file breaks by importing one other file, which exists. */
const importing = (from: string, to: string, specifier: string): string[] =>
  rulesOf({ [from]: `import { a } from '${specifier}';`, [to]: 'export const a = 1;' });

/** The rule that a file breaks by its text alone. */
const writing = (file: string, text: string): string[] => rulesOf({ [file]: text });

describe('the house', () => {
  const sources = readSources('lib', 'test', 'sample-app');

  it('has its one public door', () => {
    expect([...sources.keys()]).toContain('lib/index.ts');
  });

  it('keeps the import law', () => {
    const broken = checkImportLaw(sources).map(
      ({ file, line, rule, message }) => `${file}:${line} [${rule}] ${message}`,
    );
    expect(broken).toEqual([]);
  });
});

describe('the law’s checker', () => {
  it('accepts a house in order', () => {
    expect(
      check({
        'lib/index.ts': `export * from './nest/module.js';\nexport { Clock } from './core/clock.js';`,
        'lib/core/clock.ts': `import { createHash } from 'node:crypto';\nexport interface Clock { setTimeout(): void }`,
        'lib/core/use.ts': `import type { Clock } from './clock.js';\nexport const f = (c: Clock) => c.setTimeout();`,
        'lib/engine/guard.ts': `import Queue from 'p-queue';\nimport '../core/use.js';\nsetTimeout(() => {}, 1);`,
        'lib/adapters/system.ts': `import type { Clock } from '../core/clock.js';\nexport const now = Date.now;`,
        'lib/adapters/redis/store.ts': `import { Redis } from 'ioredis';\nimport { readFileSync } from 'node:fs';`,
        'lib/telemetry/prometheus.ts': `import { Counter } from 'prom-client';\nimport '../core/clock.js';`,
        'lib/testing/index.ts': `export * from '../engine/guard.js';\nexport * from '../adapters/redis/store.js';`,
        'lib/nest/module.ts': `import '@nestjs/common';\nimport '../engine/guard.js';\nimport '../adapters/redis/store.js';`,
      }),
    ).toEqual([]);
  });

  it.each([
    ['core → engine', 'lib/core/a.ts', 'lib/engine/b.ts', '../engine/b.js'],
    ['core → adapters', 'lib/core/a.ts', 'lib/adapters/redis/b.ts', '../adapters/redis/b.js'],
    ['engine → adapters', 'lib/engine/a.ts', 'lib/adapters/memory/b.ts', '../adapters/memory/b.js'],
    ['engine → telemetry', 'lib/engine/a.ts', 'lib/telemetry/b.ts', '../telemetry/b.js'],
    ['adapters → engine', 'lib/adapters/redis/a.ts', 'lib/engine/b.ts', '../../engine/b.js'],
    ['one adapter → another', 'lib/adapters/redis/a.ts', 'lib/adapters/memory/b.ts', '../memory/b.js'],
    ['a one-file adapter → another', 'lib/adapters/a.ts', 'lib/adapters/memory/b.ts', './memory/b.js'],
    ['telemetry → engine', 'lib/telemetry/a.ts', 'lib/engine/b.ts', '../engine/b.js'],
    ['nest → testing', 'lib/nest/a.ts', 'lib/testing/b.ts', '../testing/b.js'],
    ['anything → the index', 'lib/engine/a.ts', 'lib/index.ts', '../index.js'],
    ['lib → test', 'lib/nest/a.ts', 'test/support/b.ts', '../../test/support/b.js'],
  ])('refuses %s', (_, from, to, specifier) => {
    expect(importing(from, to, specifier)).toEqual(['floor']);
  });

  it.each(['lib/core/a.ts', 'lib/engine/a.ts', 'lib/telemetry/a.ts', 'lib/testing/a.ts'])(
    'refuses nest/ as an import of %s',
    (from) => {
      expect(importing(from, 'lib/nest/b.ts', '../nest/b.js')).toEqual(['floor', 'door']);
    },
  );

  it.each([
    ['lib/core/a.ts', 'ioredis'],
    ['lib/core/a.ts', '@nestjs/common'],
    ['lib/core/a.ts', 'lru-cache'],
    ['lib/core/a.ts', 'node:fs'],
    ['lib/core/a.ts', 'node:timers'],
    ['lib/core/a.ts', 'node:async_hooks'],
    ['lib/core/a.ts', 'crypto'],
    ['lib/engine/a.ts', 'ioredis'],
    ['lib/engine/a.ts', '@nestjs/common'],
    ['lib/engine/a.ts', 'node:net'],
    ['lib/adapters/memory/a.ts', 'ioredis'],
    ['lib/adapters/redis/a.ts', 'msgpackr'],
    ['lib/adapters/redis/a.ts', '@nestjs/common'],
    ['lib/adapters/a.ts', 'ioredis'],
    ['lib/telemetry/a.ts', '@nestjs/common'],
    ['lib/testing/a.ts', '@nestjs/testing'],
    ['lib/nest/a.ts', 'nestjs-cache-guard'],
    ['lib/index.ts', 'nestjs-cache-guard/testing'],
  ])('refuses in %s the package %s', (file, name) => {
    expect(writing(file, `import { a } from '${name}';`)).toEqual(['package']);
  });

  it.each([
    `import type { Redis } from 'ioredis';`,
    `export { Redis } from 'ioredis';`,
    `export * from 'ioredis';`,
    `import 'ioredis';`,
    `import ioredis = require('ioredis');`,
    `export type R = import('ioredis').Redis;`,
    `export const load = () => import('ioredis');`,
    `export const load = () => require('ioredis');`,
  ])('sees the import in: %s', (text) => {
    expect(writing('lib/core/a.ts', text)).toEqual(['package']);
  });

  it.each([
    'export const t = Date.now();',
    'export const t = globalThis.Date.now();',
    'export const now = Date.now;',
    'export const t = new Date();',
    'export const t = Date();',
    'export const t = performance.now();',
    'export const r = Math.random();',
    'setTimeout(() => {}, 1);',
    'export const timers = { setTimeout };',
    'globalThis.setInterval(() => {}, 1);',
    'queueMicrotask(() => {});',
    'export const t = process.hrtime();',
  ])('refuses in the core: %s', (text) => {
    expect(writing('lib/core/a.ts', text)).toContain('purity');
    expect(writing('lib/engine/a.ts', text)).toEqual([]);
  });

  it.each([
    'export const t = new Date(0);',
    'export interface Timers { setTimeout(ms: number): void; performance: number }',
    'export const f = (t: { setTimeout(): void }) => t.setTimeout();',
    'export type Timer = ReturnType<typeof setTimeout>;',
    'export const m = Math.max(1, 2);',
    '// Date.now() and Math.random() are for others',
  ])('accepts in the core: %s', (text) => {
    expect(writing('lib/core/a.ts', text)).toEqual([]);
  });

  it.each([
    'export default 1;',
    'export default class A {}',
    'export default function f() {}',
    'const a = 1;\nexport { a as default };',
    'export = 1;',
  ])('refuses the default export in: %s', (text) => {
    expect(writing('lib/core/a.ts', text)).toEqual(['default-export']);
  });

  it('refuses circles, also of types, and names them', () => {
    const circle = check({
      'lib/core/a.ts': `import { b } from './b.js';`,
      'lib/core/b.ts': `export * from './c.js';`,
      'lib/core/c.ts': `import type { A } from './a.js';`,
    });
    expect(circle).toMatchObject([{ rule: 'cycle', file: 'lib/core/c.ts', line: 1 }]);
    expect(circle[0]?.message).toContain('lib/core/a.ts → lib/core/b.ts → lib/core/c.ts → lib/core/a.ts');
    expect(writing('lib/core/a.ts', `import './a.js';`)).toEqual(['cycle']);
  });

  it('refuses overlong files', () => {
    expect(rulesOf({ 'lib/core/a.ts': lines(300), 'test/a.ts': lines(350), 'sample-app/a.ts': lines(350) })).toEqual(
      [],
    );
    expect(rulesOf({ 'lib/core/a.ts': lines(301) })).toEqual(['length']);
    expect(rulesOf({ 'test/a.ts': lines(351) })).toEqual(['length']);
    expect(rulesOf({ 'sample-app/a.ts': lines(351) })).toEqual(['length']);
  });

  it('refuses places and files that do not exist', () => {
    expect(writing('lib/misc/a.ts', '')).toEqual(['place']);
    expect(writing('lib/misc.ts', '')).toEqual(['place']);
    expect(writing('lib/core/a.ts', `import './gone.js';`)).toEqual(['missing']);
  });

  it('says where', () => {
    expect(check({ 'lib/core/a.ts': `\n\nimport { readFile } from 'node:fs';` })).toEqual([
      { file: 'lib/core/a.ts', line: 3, rule: 'package', message: 'may not import node:fs' },
    ]);
  });
});
