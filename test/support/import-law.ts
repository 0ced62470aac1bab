import { posix } from 'node:path';
import ts from 'typescript';
import { impureUses, importsOf, exportsDefault } from './source-facts.js';

/** Files by their path from the project's root (`lib/core/clock.ts`), with their text. */
export type Sources = ReadonlyMap<string, string>;

export interface Violation {
  readonly file: string;
  readonly line: number;
  readonly rule: 'floor' | 'package' | 'purity' | 'door' | 'cycle' | 'default-export' | 'length' | 'place' | 'missing';
  readonly message: string;
}

interface Floor {
  /** Prefixes, below lib/, of what this floor may import. */
  readonly own: readonly string[];
  /** Whether a package or a Node built-in may be imported. */
  readonly packages: (name: string) => boolean;
  /** Whether clocks, randomness and timers are off limits. */
  readonly pure?: boolean;
}

/** Built-ins without I/O, clocks or state. */
const PURE_BUILTINS = ['node:crypto', 'node:buffer', 'node:util', 'node:string_decoder', 'node:url', 'node:zlib'];
const DRIVERS: Readonly<Record<string, readonly string[]>> = {
  breaker: ['cockatiel'],
  memory: ['lru-cache'],
  redis: ['ioredis', 'cluster-key-slot'],
  codecs: ['devalue', 'msgpackr'],
  outbox: [],
  sources: ['ioredis'],
};
const LENGTHS: readonly (readonly [folder: string, lines: number])[] = [
  ['lib/', 300],
  ['test/', 350],
  ['sample-app/', 350],
];

const isNest = (name: string): boolean => name.startsWith('@nestjs/');
const isSelf = (name: string): boolean => name === 'nestjs-cache-guard' || name.startsWith('nestjs-cache-guard/');
const isBuiltin = (name: string): boolean => name.startsWith('node:');
const oneOf =
  (...names: readonly string[]) =>
  (name: string): boolean =>
    names.includes(name);

/** The floor of a file, by its path below lib/; nothing for a place that the house does not have. */
function floorOf(path: string): Floor | undefined {
  const [first, second, third] = path.split('/');
  if (second === undefined) {
    return first === 'index.ts' ? { own: [''], packages: (name) => !isSelf(name) } : undefined;
  }
  switch (first) {
    case 'core':
      return { own: ['core/'], packages: oneOf(...PURE_BUILTINS), pure: true };
    case 'engine':
      return {
        own: ['core/', 'engine/'],
        packages: oneOf(...PURE_BUILTINS, 'node:async_hooks', 'p-queue', 'lru-cache'),
      };
    case 'adapters': {
      // A file beside the folders is an adapter of one file.
      const drivers = DRIVERS[third === undefined ? second.replace(/\.ts$/, '') : second] ?? [];
      const home = third === undefined ? path : `adapters/${second}/`;
      return { own: ['core/', home], packages: (name) => isBuiltin(name) || drivers.includes(name) };
    }
    case 'telemetry':
      return {
        own: ['core/', 'telemetry/'],
        packages: (name) => isBuiltin(name) || oneOf('prom-client', '@opentelemetry/api')(name),
      };
    case 'testing':
      return {
        own: ['core/', 'engine/', 'adapters/', 'telemetry/', 'testing/'],
        packages: (name) => !isNest(name) && !isSelf(name),
      };
    case 'nest':
      return {
        own: ['core/', 'engine/', 'adapters/', 'telemetry/', 'nest/'],
        packages: (name) => !isSelf(name),
      };
    default:
      return undefined;
  }
}

/**
 * Checks the house's import law: each floor imports only what lies below it, the core is pure, nobody but the door imports
 * `nest/`, nothing is circular (types included: with decorator metadata a circle is an error at load), no default
 * exports, no overlong file.
 */
export function checkImportLaw(sources: Sources): Violation[] {
  const violations: Violation[] = [];
  const graph = new Map<string, { target: string; line: number }[]>();

  for (const [file, text] of sources) {
    violations.push(...checkLength(file, text));
    if (!file.startsWith('lib/')) continue;
    const report = (rule: Violation['rule'], line: number, message: string): void => {
      violations.push({ file, line, rule, message });
    };
    const path = file.slice('lib/'.length);
    const floor = floorOf(path);
    if (!floor) {
      report('place', 1, 'the house has no such place');
      continue;
    }
    const tree = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true);
    for (const line of exportsDefault(tree)) report('default-export', line, 'named exports only');
    if (floor.pure) for (const { what, line } of impureUses(tree)) report('purity', line, `${what} in the pure core`);

    const edges: { target: string; line: number }[] = [];
    graph.set(file, edges);
    for (const { specifier, line } of importsOf(tree)) {
      if (!specifier.startsWith('.')) {
        if (!floor.packages(specifier)) report('package', line, `may not import ${specifier}`);
        continue;
      }
      const target = posix.join(posix.dirname(file), specifier).replace(/\.js$/, '.ts');
      if (!sources.has(target)) {
        report('missing', line, `${specifier} is not a source file`);
        continue;
      }
      edges.push({ target, line });
      const below = target.slice('lib/'.length);
      if (!target.startsWith('lib/') || !floor.own.some((prefix) => below.startsWith(prefix))) {
        report('floor', line, `may not import ${target}`);
      }
      if (below.startsWith('nest/') && !path.startsWith('nest/') && path !== 'index.ts') {
        report('door', line, 'only the index imports nest/');
      }
    }
  }
  return [...violations, ...findCycles(graph)];
}

function checkLength(file: string, text: string): Violation[] {
  const limit = LENGTHS.find(([folder]) => file.startsWith(folder))?.[1];
  const lines = text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
  if (limit === undefined || lines <= limit) return [];
  return [{ file, line: limit + 1, rule: 'length', message: `${lines} lines, ${limit} are allowed` }];
}

/** Depth-first search; each circle is reported once, at the import that closes it. */
function findCycles(graph: ReadonlyMap<string, readonly { target: string; line: number }[]>): Violation[] {
  const violations: Violation[] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): void => {
    path.push(file);
    for (const { target, line } of graph.get(file) ?? []) {
      const at = path.indexOf(target);
      if (at !== -1) {
        const circle = [...path.slice(at), target].join(' → ');
        violations.push({ file, line, rule: 'cycle', message: `circular import: ${circle}` });
      } else if (!done.has(target)) visit(target);
    }
    path.pop();
    done.add(file);
  };
  for (const file of graph.keys()) if (!done.has(file)) visit(file);
  return violations;
}
