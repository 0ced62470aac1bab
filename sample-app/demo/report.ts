import type { Row } from './measure.js';
import type { DemoOptions } from './options.js';

interface Column {
  readonly head: readonly [string, string];
  readonly left?: true;
  readonly cell: (row: Row) => string;
}

const whole = (value: number): string => value.toLocaleString('en-US');
const time = (ms: number): string => (ms < 9.95 ? ms.toFixed(1) : whole(Math.round(ms)));

const COLUMNS: readonly Column[] = [
  { head: ['', 'scenario'], left: true, cell: (row) => row.scenario },
  { head: ['', 'mode'], left: true, cell: (row) => row.mode },
  { head: ['', 'reads'], cell: (row) => whole(row.reads) },
  { head: ['origin', 'loads'], cell: (row) => whole(row.originLoads) },
  { head: ['most loads', 'at once'], cell: (row) => whole(row.mostConcurrentLoads) },
  { head: ['p50', 'ms'], cell: (row) => time(row.p50Ms) },
  { head: ['p99', 'ms'], cell: (row) => time(row.p99Ms) },
  { head: ['wrong', 'reads'], cell: (row) => (row.wrongReads === undefined ? '–' : whole(row.wrongReads)) },
  { head: ['marked', 'stale'], cell: (row) => whole(row.markedStale) },
  { head: ['', 'errors'], cell: (row) => whole(row.errors) },
  { head: ['Redis', 'commands'], cell: (row) => whole(row.redisCommands) },
];

/** One aligned table; a blank line after each scenario. */
export function table(rows: readonly Row[]): string {
  const cells = rows.map((row) => COLUMNS.map((column) => column.cell(row)));
  const widths = COLUMNS.map(({ head }, i) =>
    Math.max(...[...head, ...cells.map((row) => row[i]!)].map((t) => t.length)),
  );
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, i) => (COLUMNS[i]!.left ? text.padEnd(widths[i]!) : text.padStart(widths[i]!)))
      .join('  ')
      .trimEnd();
  const rule = '─'.repeat(widths.reduce((sum, width) => sum + width + 2, -2));
  const lines = [line(COLUMNS.map(({ head }) => head[0])), line(COLUMNS.map(({ head }) => head[1])), rule];
  for (const [i, row] of cells.entries()) {
    const again = i > 0 && rows[i - 1]!.scenario === rows[i]!.scenario;
    if (i > 0 && !again) lines.push('');
    lines.push(line(again ? ['', ...row.slice(1)] : row));
  }
  return lines.join('\n');
}

export function legend({ originMs, ttlMs }: DemoOptions): string {
  return `How to read it. "Unguarded" is cache-aside as it is usually written: GET, on a miss load and SET with a TTL, DEL
after a write. "Guarded" is the same reads as @Cached and @Invalidates methods: same Redis, same TTLs, same crowd. The
origin takes ${originMs} ms for a load and counts them; keys that expire live for ${ttlMs} ms. p50 and p99 are what readers waited.
A wrong read began after a write was confirmed, its invalidation included, and got an older value without being told;
"–": nobody writes there. Where the policy allows stale values, guarded readers go on with the old one during the one
reload and are told so: "marked stale". "Burst of writes" allows none (\`critical\`), and its writes come faster than
loads: nobody is given what a write has overtaken, and nobody waits for more than two loads, which costs some more
loads. In the cohort and after FLUSHALL, each key is loaded once per expiry or flush. Redis commands are what the
clients of the application processes sent while the crowd read: a script or an MGET is one, lease renewals are
included, what a script does inside the server is not.`;
}
