import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { PROJECT_ROOT } from '../support/paths.js';
import { attempt, run } from './support/run.js';
import { COMPAT_DIR, packLibrary, readManifest, type Tarball } from './support/tarball.js';

const UNPACKED = join(COMPAT_DIR, 'unpacked');

interface SourceMap {
  readonly sources: readonly string[];
  readonly sourcesContent?: readonly (string | null)[];
}

let tarball: Tarball;

beforeAll(async () => {
  tarball = await packLibrary('package');
  rmSync(UNPACKED, { recursive: true, force: true });
  mkdirSync(UNPACKED, { recursive: true });
  await run('tar', ['-xzf', tarball.path, '--strip-components=1'], { cwd: UNPACKED });
}, 60_000);

const textOf = (file: string): string => readFileSync(join(UNPACKED, file), 'utf8');

/** Files below lib/, with forward slashes. */
function libraryFiles(extension: string): string[] {
  return readdirSync(join(PROJECT_ROOT, 'lib'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(extension))
    .map((entry) => relative(PROJECT_ROOT, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
    .toSorted();
}

describe('what is published', () => {
  it('is the build, the manifest and three texts, and nothing else', () => {
    const outside = tarball.files.filter((file) => !file.startsWith('dist/'));
    expect(outside).toEqual(['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json']);
    const built = tarball.files.filter((file) => file.startsWith('dist/'));
    expect(built.filter((file) => !/(\.js|\.js\.map|\.d\.ts|\.lua)$/.test(file))).toEqual([]);
  });

  it('holds no tests', () => {
    expect(tarball.files.filter((file) => /(\.test\.|\.spec\.|(^|\/)test\/)/.test(file))).toEqual([]);
  });

  it('holds every Lua script, as it is in lib', () => {
    const scripts = libraryFiles('.lua');
    expect(scripts.length).toBeGreaterThan(0);
    for (const script of scripts) {
      expect(textOf(script.replace(/^lib/, 'dist'))).toBe(readFileSync(join(PROJECT_ROOT, script), 'utf8'));
    }
  });

  it('is built from lib as it is now; if not: npm run build', () => {
    const built = new Map<string, string>();
    for (const file of tarball.files.filter((name) => name.endsWith('.js.map'))) {
      const { sources, sourcesContent } = JSON.parse(textOf(file)) as SourceMap;
      sources.forEach((source, index) => {
        built.set(posix.normalize(posix.join(dirname(file), source)), sourcesContent?.[index] ?? '');
      });
    }
    const stale = libraryFiles('.ts').filter(
      (file) => built.get(file) !== readFileSync(join(PROJECT_ROOT, file), 'utf8'),
    );
    expect(stale).toEqual([]);
  });

  it('has source maps that need no file that is not there', () => {
    const broken = tarball.files.filter((name) => {
      if (!name.endsWith('.js.map')) return false;
      const { sources, sourcesContent } = JSON.parse(textOf(name)) as SourceMap;
      return sources.some((source, index) => {
        const target = posix.normalize(posix.join(dirname(name), source));
        return target.startsWith('..') || (!sourcesContent?.[index] && !tarball.files.includes(target));
      });
    });
    expect(broken).toEqual([]);
  });

  it('names in exports only files that are there, types first', () => {
    const { exports } = readManifest();
    for (const [entry, target] of Object.entries(exports)) {
      if (typeof target === 'string') {
        expect(existsSync(join(UNPACKED, target)), entry).toBe(true);
        continue;
      }
      expect(Object.keys(target), entry).toEqual(['types', 'default']);
      for (const file of Object.values(target))
        expect(existsSync(join(UNPACKED, file)), `${entry}: ${file}`).toBe(true);
    }
  });

  it('depends at run time on nothing that only tests or optional peers bring', () => {
    const { dependencies, peerDependencies, peerDependenciesMeta } = readManifest();
    const known = new Set([...Object.keys(dependencies), ...Object.keys(peerDependencies)]);
    const imported = new Set<string>();
    for (const file of tarball.files.filter((name) => name.endsWith('.js'))) {
      for (const [, name] of textOf(file).matchAll(/^(?:import|export)\b[^;]*?from\s*'([^'.][^']*)'/gm)) {
        imported.add(name!.startsWith('@') ? name!.split('/').slice(0, 2).join('/') : name!.split('/')[0]!);
      }
    }
    expect([...imported].filter((name) => !name.startsWith('node:') && !known.has(name))).toEqual([]);
    const optional = Object.keys(peerDependencies).filter((name) => peerDependenciesMeta[name]?.optional);
    expect(optional.toSorted()).toEqual([
      '@nestjs/event-emitter',
      '@nestjs/microservices',
      'ioredis',
      'msgpackr',
      'prom-client',
    ]);
  });
});

describe('what others say of the tarball', () => {
  const tool = (...path: string[]): string => join(PROJECT_ROOT, 'node_modules', ...path);

  it('publint finds nothing', async () => {
    const args = [tool('publint', 'src', 'cli.js'), 'run', tarball.path, '--strict'];
    const { code, stdout, stderr } = await attempt(process.execPath, args, { cwd: PROJECT_ROOT });
    expect({ code, said: stdout + stderr }).toEqual({ code: 0, said: expect.stringContaining('All good!') });
  });

  it('Are The Types Wrong? finds nothing for an ESM-only package', async () => {
    const args = [tool('@arethetypeswrong', 'cli', 'dist', 'index.js'), tarball.path, '--profile', 'esm-only'];
    const { code, stdout } = await attempt(process.execPath, args, { cwd: PROJECT_ROOT });
    expect({ code, said: stdout }).toEqual({ code: 0, said: expect.stringContaining('node16 (from ESM): 🟢') });
  });
});
