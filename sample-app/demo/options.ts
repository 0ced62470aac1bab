import { parseArgs } from 'node:util';

/** Sizes of one run of the demo. */
export interface DemoOptions {
  readonly processes: number;
  /** In each process. */
  readonly readers: number;
  /** What one load costs at the origin. */
  readonly originMs: number;
  /** Life of the keys that expire while they are read. */
  readonly ttlMs: number;
  /** How long a crowd reads, where it reads more than once. */
  readonly windowMs: number;
  readonly json: boolean;
  /** A Redis that is there already, instead of one of the demo's own. It must be empty: the last scenario empties it. */
  readonly redisUrl: string | undefined;
}

/** What the crowd's processes need to know. */
export type Sizes = Pick<DemoOptions, 'originMs' | 'ttlMs'>;

export const HELP = `npm run demo -- [options]

  --processes <n>   application processes, 1 to 64          (DEMO_PROCESSES, default 4)
  --readers <n>     readers in each of them, 1 to 2000      (DEMO_READERS, default 100)
  --origin-ms <n>   what one load costs the origin          (DEMO_ORIGIN_MS, default 100)
  --quick           2 processes, 40 readers, short scenarios
  --json            results as JSON on stdout; progress goes to stderr either way

REDIS_URL uses a Redis of yours. It must be empty, because the last scenario empties it. Without it the demo starts
its own: REDIS_SERVER_BIN, else redis-server or valkey-server on the PATH, else Debian's package, unpacked without root.`;

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * @returns `undefined` when help was asked for
 * @throws Error that names the option, the value and the mend
 */
export function readOptions(args: readonly string[], env: Environment): DemoOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      processes: { type: 'string' },
      readers: { type: 'string' },
      'origin-ms': { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  const { quick } = values;
  const originMs = whole('--origin-ms', values['origin-ms'] ?? env['DEMO_ORIGIN_MS'], quick ? 50 : 100, 1, 1_000);
  return {
    processes: whole('--processes', values.processes ?? env['DEMO_PROCESSES'], quick ? 2 : 4, 1, 64),
    readers: whole('--readers', values.readers ?? env['DEMO_READERS'], quick ? 40 : 100, 1, 2_000),
    originMs,
    ttlMs: originMs * (quick ? 5 : 8),
    windowMs: originMs * (quick ? 10 : 20),
    json: values.json,
    redisUrl: env['REDIS_URL'] || undefined,
  };
}

function whole(name: string, given: string | undefined, fallback: number, least: number, most: number): number {
  if (given === undefined || given === '') return fallback;
  const value = Number(given);
  if (/^\d+$/.test(given) && value >= least && value <= most) return value;
  throw new Error(`${name} = ${given} is refused; give a whole number from ${least} to ${most}.`);
}
