import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import ts from 'typescript';
import { beforeAll, describe, expect, it } from 'vitest';
import type { DomainPolicyConfig } from '../../lib/core/policy.js';
import { resolvePolicy } from '../../lib/core/resolve-policy.js';
import { CACHE_DIR, PROJECT_ROOT } from '../support/paths.js';

const DOCS = join(PROJECT_ROOT, 'docs');
const WORK = join(CACHE_DIR, 'docs-check');

const read = (...path: string[]): string => readFileSync(join(PROJECT_ROOT, ...path), 'utf8');
const pages = readdirSync(DOCS).filter((name) => name.endsWith('.md'));
const doc = (name: string): string => read('docs', name);

/** All that `pattern` (with one group) finds in `text`. */
const found = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map((match) => match[1]!);

const source = (path: string): ts.SourceFile => ts.createSourceFile(path, read(path), ts.ScriptTarget.Latest, true);

function fieldsOf(file: ts.SourceFile, name: string): string[] {
  const declaration = file.statements.find(
    (statement) => ts.isInterfaceDeclaration(statement) && statement.name.text === name,
  ) as ts.InterfaceDeclaration;
  return declaration.members.map((member) => (member.name as ts.Identifier).text);
}

describe('links', () => {
  const files = [
    ...(existsSync(join(PROJECT_ROOT, 'README.md')) ? ['README.md'] : []),
    ...pages.map((p) => `docs/${p}`),
  ];

  it.each(files)('of %s lead somewhere', (file) => {
    const text = read(file).replace(/^```[\s\S]*?^```/gm, '');
    const targets = found(text, /\]\(([^)\s]+)\)/g).filter((target) => !/^(?:[a-z]+:|#)/i.test(target));
    const dead = targets.filter((target) => !existsSync(join(PROJECT_ROOT, dirname(file), target.split('#')[0]!)));
    expect(dead).toEqual([]);
  });

  it('the index has every page', () => {
    expect(pages.filter((page) => page !== 'README.md' && !doc('README.md').includes(`](${page})`))).toEqual([]);
  });
});

it('each claim of the threat model names a page, and a test that there is', () => {
  const rows = found(doc('threat-model.md'), /^(\| .*\.test\.ts\) *\|)$/gm);
  expect(rows.length).toBeGreaterThan(30);
  for (const row of rows) {
    const [, page, title, path] = /\]\(([\w-]+\.md)[^|]*\| \[(.+)\]\((\S+)\) *\|$/.exec(row) ?? [];
    expect(page && existsSync(join(DOCS, page)), row).toBe(true);
    expect(readFileSync(join(DOCS, path!), 'utf8'), row).toContain(title!);
  }
});

describe('pages know everything that the code has', () => {
  it('every error code', () => {
    const codes = found(read('lib/core/errors.ts'), /\| '(CG_\w+)'/g);
    expect(codes.length).toBeGreaterThan(10);
    expect(codes.filter((code) => !doc('errors.md').includes(`\`${code}\``))).toEqual([]);
  });

  it('every event', () => {
    const types = found(read('lib/core/events.ts'), /(?:Of(?:Key|Source)?<|readonly type: )'([\w-]+)'/g);
    expect(types.length).toBeGreaterThan(10);
    expect(types.filter((type) => !doc('events-and-metrics.md').includes(`| \`${type}\``))).toEqual([]);
  });

  it('every code of advice', () => {
    const codes = found(/export type AdviceCode =([^;]*);/.exec(read('lib/core/events.ts'))![1]!, /'([\w-]+)'/g);
    expect(codes.length).toBeGreaterThan(3);
    expect(codes.filter((code) => !doc('redis.md').includes(`| \`${code}\``))).toEqual([]);
  });

  it('every metric', () => {
    const names = found(read('lib/telemetry/prometheus.ts'), /(?:name: |histogram\(\s*)'(\w+)'/g);
    expect(names.length).toBeGreaterThan(10);
    expect(names.filter((name) => !doc('events-and-metrics.md').includes(`\`cache_guard_${name}\``))).toEqual([]);
  });

  it('every field of a policy', () => {
    const file = source('lib/core/policy.ts');
    const fields = [...fieldsOf(file, 'DomainPolicyConfig'), ...fieldsOf(file, 'FreshnessOverrides')];
    expect(fields.length).toBeGreaterThan(20);
    expect(fields.filter((field) => !doc('policies.md').includes(`| \`${field}\``))).toEqual([]);
  });

  it('every command that the scripts call, in the ACL line', () => {
    const scripts = join('lib', 'adapters', 'redis', 'scripts');
    const commandsOf = (streams: boolean): string[] => {
      const names = readdirSync(join(PROJECT_ROOT, scripts)).filter((name) => name.startsWith('stream-') === streams);
      const lua = names.map((name) => read(scripts, name)).join('\n');
      return [...new Set(found(lua, /redis\.p?call\('(\w+)'/g).map((name) => name.toLowerCase()))];
    };
    const rights = /^ACL SETUSER .*$/m.exec(doc('redis.md'))![0].split(' ');
    expect(commandsOf(false).length).toBeGreaterThan(10);
    expect(commandsOf(false).filter((command) => !rights.includes(`+${command}`))).toEqual([]);
    const forStreams = found(/^\| domain events from a Redis Stream .*$/m.exec(doc('redis.md'))![0], /(\+\w+)/g);
    expect(commandsOf(true).length).toBeGreaterThan(5);
    expect(commandsOf(true).filter((command) => ![...rights, ...forStreams].includes(`+${command}`))).toEqual([]);
  });
});

it.each<object>([
  { freshness: 'fast' },
  { freshness: 'experience', softTTL: '5m' },
  { freshness: 'experience', softTtl: '30 seconds' },
  { freshness: 'experience', softTtl: '2m', hardTtl: '1m' },
  { freshness: 'operational' },
  { freshness: 'critical', stalePolicy: 'while-revalidate' },
  { freshness: 'experience', stalePolicy: 'swr' },
  { freshness: 'experience', negativeTtl: '1m' },
  { freshness: 'critical', negativeTtl: '1s' },
  { freshness: 'critical', stalePolicy: 'validate' },
  { freshness: 'critical', stalePolicy: 'no-store', softTtl: '1s' },
  { freshness: 'experience', loadTimeout: '1s', softTimeout: '2s' },
  { freshness: 'experience', jitter: 1 },
  { freshness: 'experience', maxLoadsPerSecond: '5s' },
  { freshness: 'experience', breaker: {} },
  { freshness: 'critical', l1: {} },
  { freshness: 'experience', stalePolicy: 'never', l1: {} },
])('the refusal of %o reads as policies.md says', (config) => {
  let message = 'accepted';
  try {
    resolvePolicy('d', config as DomainPolicyConfig);
  } catch (error) {
    message = (error as Error).message;
  }
  expect(doc('policies.md')).toContain(`\n${message}\n`);
});

describe('examples', () => {
  const NEST = found(
    'ArgumentsHost Catch Controller ExceptionFilter Get Injectable Module NotFoundException OnModuleInit Param Query Res',
    /(\w+)/g,
  );
  /** What the examples take from the application that they stand in. */
  const WORLD = `
    import type { AsyncLocalStorage as Storage } from 'node:async_hooks';
    declare global {
      interface Offer { id: string; segment: string; title: string }
      interface PublishOffer { segment: string; title: string }
      interface OfferPage { offers: Offer[]; next?: string }
      class OfferEntity { id: string; segment: string }
      interface OffersAnswer { notModified: boolean; etag: string; isPreview: boolean; endsInMs: number; offers: Offer[] }
      interface HttpResponse {
        setHeader(name: string, value: string): void;
        status(code: number): this;
        send(body: unknown): void;
      }
      const AsyncLocalStorage: typeof Storage;
      type AsyncLocalStorage<T> = Storage<T>;
      const db: {
        offers(segment: string, options: { signal: AbortSignal; ifNoneMatch: string | undefined }): Promise<OffersAnswer>;
        findOffers(segment: string, options?: { signal: AbortSignal }): Promise<Offer[]>;
        readOffers(segment: string): Promise<{ version: bigint; offers: Offer[] }>;
        offerVersions(segments: string[], options: { signal: AbortSignal }): Promise<{ segment: string; version: bigint }[]>;
        searchOffers(text: string, page: number): Promise<Offer[]>;
        countOffers(segment: string): Promise<number>;
        rebuildOffers(segment: string): Promise<Offer[]>;
        closeOffers(segments: string[]): Promise<void>;
        importOffers(file: string): Promise<void>;
        publish(command: PublishOffer): Promise<void>;
        offerRow(id: string): Promise<{ id: string; cents: number }>;
        offerPage(segment: string): Promise<OfferPage>;
        offerEntity(id: string): Promise<OfferEntity>;
        branches(user: string): Promise<string[]>;
        blockCard(card: string): Promise<void>;
        permissionsVersion(user: string): Promise<bigint>;
      };
      interface Connection { query(sql: string, params: unknown[]): Promise<{ rows: object[] }> }
      const pool: Connection & { transaction<T>(work: (open: Connection) => Promise<T>): Promise<T> };
      const search: { index(offer: Offer): Promise<void> };
      class OfferService { findBySegment(segment: string): Promise<Offer[]> }
      class Dashboard { load(user: string): Promise<{ offers: Offer[]; branches: string[] }> }
      const asPage: (plain: unknown) => OfferPage;
      const currentTransaction: () => { onCommit(action: () => Promise<void>): void } | undefined;
      const pageSomebody: (domain: string, scope: string) => void;
      const encrypt: (bytes: Buffer) => Buffer;
      const decrypt: (bytes: Buffer) => Buffer;
      const password: string;
    }
  `;
  const exported = found(read('lib/index.ts').replace(/from '.*'/g, ''), /\b([A-Za-z]\w+)\b/g);
  const origins: readonly (readonly [string, readonly string[]])[] = [
    ['nestjs-cache-guard', exported.filter((word) => !['export', 'type'].includes(word))],
    ['@nestjs/common', NEST],
    ['@nestjs/core', ['APP_INTERCEPTOR']],
    ['@nestjs/event-emitter', ['EventEmitterModule']],
    ['@nestjs/microservices', ['EventPattern', 'KafkaContext', 'NatsOptions', 'RmqOptions', 'Transport']],
    ['ioredis', ['Cluster']],
    ['node:crypto', ['randomUUID']],
  ];
  const problems = new Map<string, string[]>();

  /** Examples leave out imports; one line gives them back, so that line numbers stay off by one. */
  function withImports(code: string): string {
    const uses = (name: string): boolean =>
      new RegExp(`\\b${name}\\b`).test(code) && !new RegExp(`(?:class|const|interface) ${name}\\b`).test(code);
    const imports = origins.map(([from, names]) => `import { ${names.filter(uses).join(', ')} } from '${from}';`);
    return `${imports.filter((line) => !line.includes('{  }')).join(' ')}\n${code}\nexport {};\n`;
  }

  beforeAll(() => {
    rmSync(WORK, { recursive: true, force: true });
    mkdirSync(WORK, { recursive: true });
    writeFileSync(join(WORK, 'world.ts'), WORLD);
    const files = [join(WORK, 'world.ts')];
    for (const page of pages) {
      found(doc(page), /^```ts\n([\s\S]*?)^```/gm).forEach((code, i) => {
        const file = join(WORK, `${page.replace(/\.md$/, '')}-${i + 1}.ts`);
        writeFileSync(file, withImports(code));
        files.push(file);
      });
    }
    const config = ts.readConfigFile(join(PROJECT_ROOT, 'tsconfig.json'), (path) => ts.sys.readFile(path));
    const { options } = ts.parseJsonConfigFileContent(
      { ...config.config, include: [], files: [] },
      ts.sys,
      PROJECT_ROOT,
    );
    const program = ts.createProgram(files, {
      ...options,
      declaration: false,
      emitDecoratorMetadata: false,
      noUnusedLocals: false,
      noUnusedParameters: false,
    });
    for (const path of files) {
      const file = program.getSourceFile(path)!;
      const all = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
      const name = relative(WORK, path).replace(/-\d+\.ts$/, '.md');
      const texts = all.map(({ start, messageText }) => {
        const line = start === undefined ? 0 : file.getLineAndCharacterOfPosition(start).line;
        return `${relative(WORK, path)}, line ${line}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
      });
      problems.set(name, [...(problems.get(name) ?? []), ...texts]);
    }
  }, 60_000);

  it('there are some', () => {
    expect(problems.size).toBeGreaterThan(5);
  });

  it.each(['world.ts', ...pages])('of %s compile', (page) => {
    expect(problems.get(page) ?? []).toEqual([]);
  });
});
