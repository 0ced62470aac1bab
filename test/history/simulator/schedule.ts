import type { InvalidationMode, InvalidationScope } from '../../../lib/core/events.js';
import type { Weather } from './link.js';
import { Random } from './random.js';

/** What a schedule reads and writes. */
export const PLACES = [
  { domain: 'balances', key: 'gold', tags: ['metal'] },
  { domain: 'balances', key: 'salt', tags: ['mineral', 'cheap'] },
  { domain: 'offers', key: 'gold', tags: ['metal'] },
  { domain: 'offers', key: 'salt', tags: ['mineral', 'cheap'] },
] as const;

export type Step = { readonly atMs: number } & Act;

export type Act =
  | {
      readonly act: 'read';
      readonly via: 'getOrLoad' | 'peek' | 'refresh';
      readonly by: readonly number[];
      readonly place: number;
    }
  /** The source changes, then one process says so; all of `readers` read as soon as it has been told the outcome. */
  | {
      readonly act: 'change';
      readonly by: number;
      readonly place: number;
      readonly scope: InvalidationScope;
      readonly mode: InvalidationMode;
      readonly readers: readonly number[];
    }
  | { readonly act: 'put' | 'write'; readonly by: number; readonly place: number }
  | { readonly act: 'save' }
  | { readonly act: 'pause-server'; readonly forMs: number }
  | { readonly act: 'kill-server'; readonly forMs: number; readonly from: 'empty' | 'snapshot' }
  | { readonly act: 'pause-process'; readonly by: number; readonly forMs: number }
  | { readonly act: 'kill-process'; readonly by: number; readonly forMs: number }
  | { readonly act: 'jump-wall'; readonly by: number; readonly ms: number }
  | {
      readonly act: 'cut' | 'silence';
      readonly way: 'commands' | 'signals';
      readonly by: number;
      readonly forMs: number;
    }
  | { readonly act: 'storm'; readonly by: number; readonly forMs: number; readonly weather: Weather };

export interface Schedule {
  readonly seed: number;
  readonly processes: number;
  /** Nothing expires before the end. */
  readonly lasting: boolean;
  /** Loads set their revision as a version. */
  readonly versioned: boolean;
  /** Entries and generations are not read in one step, as in a cluster. */
  readonly spread: boolean;
  readonly weather: Weather;
  /** How the source behaves: shares of loads that fail, take long, and never end. */
  readonly source: { readonly failing: number; readonly slow: number; readonly hanging: number };
  readonly steps: readonly Step[];
}

const CALM: Weather = { leastMs: 0.1, mostMs: 2, lost: 0, doubled: 0 };
const ROUGH: Weather = { leastMs: 0.5, mostMs: 15, lost: 0, doubled: 0.02 };

const DOINGS = { read: 60, crowd: 8, change: 14, put: 2, write: 2, refresh: 2, save: 4 } as const;
const FAULTS = {
  'pause-server': 2,
  'kill-server': 2,
  'pause-process': 3,
  'kill-process': 2,
  'jump-wall': 0.5,
  cut: 3,
  silence: 3,
  storm: 3,
} as const;

/** What happens in the history of a seed: the same for the same seed, and between them everything that may. */
export function scheduleOf(seed: number): Schedule {
  const random = new Random(seed);
  const processes = 2 + random.int(3);
  const faults = random.weighted({ none: 1, few: 2, many: 2 });
  const busy = random.chance(0.3);
  const drawer = new Drawer(random, processes, busy ? 3 : 1);
  const count = 40 + random.int(60);
  const steps: Step[] = [];
  let atMs = 50;
  for (let index = 0; index < count; index++) {
    atMs += random.chance(0.3) ? random.between(0, 5) : random.between(0, random.chance(0.1) ? 1_500 : 120);
    const isFault = faults !== 'none' && random.chance(faults === 'few' ? 0.04 : 0.12);
    if (random.chance(0.02)) steps.push(...(random.chance(0.5) ? drawer.race(atMs) : drawer.hammer(atMs)));
    else if (isFault && random.chance(0.3))
      steps.push(...(random.chance(0.5) ? drawer.blink(atMs) : drawer.outage(atMs)));
    else steps.push({ atMs, ...(isFault ? drawer.fault() : drawer.doing()) });
  }
  steps.sort((a, b) => a.atMs - b.atMs);
  return {
    seed,
    processes,
    steps,
    lasting: random.chance(0.4),
    versioned: random.chance(0.5),
    spread: random.chance(0.3),
    weather: random.chance(0.5) ? CALM : ROUGH,
    source: {
      failing: random.pick([0, 0, 0.1, 0.4]),
      slow: random.pick([0, 0.1, 0.3]),
      hanging: random.pick([0, 0, 0.03]),
    },
  };
}

class Drawer {
  constructor(
    private readonly random: Random,
    private readonly processes: number,
    private readonly changing: number,
  ) {}

  doing(): Act {
    const { random } = this;
    const place = random.int(PLACES.length);
    const by = random.int(this.processes);
    const doing = random.weighted({ ...DOINGS, change: DOINGS.change * this.changing });
    switch (doing) {
      case 'read':
        return { act: 'read', via: random.chance(0.12) ? 'peek' : 'getOrLoad', by: [by], place };
      case 'crowd':
        return { act: 'read', via: 'getOrLoad', by: this.crowd(), place };
      case 'refresh':
        return { act: 'read', via: 'refresh', by: [by], place };
      case 'change':
        return {
          act: 'change',
          by,
          place,
          readers: random.chance(0.6) ? this.crowd() : [],
          scope: random.weighted({
            key: 3,
            tag: 2,
            domain: 1,
          }),
          mode: random.weighted({
            expire: 3,
            remove: 2,
            purge: 1,
          }),
        };
      case 'put':
      case 'write':
        return { act: doing, by, place };
      case 'save':
        return { act: 'save' };
    }
  }

  fault(): Act {
    const { random } = this;
    const by = random.int(this.processes);
    const act = random.weighted(FAULTS);
    const forMs = random.pick([random.between(5, 100), random.between(100, 1_200), random.between(1_000, 5_000)]);
    switch (act) {
      case 'pause-server':
        return { act, forMs };
      case 'kill-server':
        return { act, forMs, from: random.pick(['empty', 'snapshot']) };
      case 'pause-process':
      case 'kill-process':
        return { act, by, forMs };
      case 'jump-wall':
        return { act, by, ms: random.between(-2_000, 2_000) };
      case 'cut':
      case 'silence':
        return { act, by, forMs, way: random.pick(['commands', 'signals']) };
      case 'storm': {
        const lost = random.pick([0, 0.05, 0.3]);
        const doubled = random.pick([0, 0.2]);
        return { act, by, forMs, weather: { leastMs: 1, mostMs: random.pick([20, 200, 700]), lost, doubled } };
      }
    }
  }

  /** A connection that is lost and made again between two beats, while its process reads what another one invalidates. */
  blink(atMs: number): Step[] {
    const { random } = this;
    const place = random.int(PLACES.length);
    const by = random.int(this.processes);
    const other = (by + 1) % this.processes;
    const at = () => atMs + random.between(0, 70);
    return [
      { atMs, act: 'cut', way: random.pick(['commands', 'signals', 'signals']), by, forMs: random.between(1, 40) },
      { atMs: at(), act: 'read', via: 'getOrLoad', by: [by, by], place },
      { atMs: at(), act: 'read', via: 'getOrLoad', by: [by], place },
      { atMs: at(), act: 'change', by: other, place, scope: this.scope(), mode: 'expire', readers: [] },
      { atMs: atMs + 1_200, act: 'read', via: 'getOrLoad', by: [by], place },
    ];
  }

  /** Everybody brings a new value into his memory while it is invalidated again. */
  race(atMs: number): Step[] {
    const { random } = this;
    const place = random.int(PLACES.length);
    const by = random.int(this.processes);
    const everybody = Array.from({ length: this.processes }, (_, process) => process);
    const [mode, scope] = [random.pick(['expire', 'remove'] as const), this.scope()];
    const againMs = atMs + random.between(60, 120);
    return [
      { atMs, act: 'change', by, place, scope, mode, readers: [by] },
      ...[0, 3, 6].map((ms) => ({
        ...({ act: 'read', via: 'getOrLoad' } as const),
        by: everybody,
        place,
        atMs: againMs + ms,
      })),
      { atMs: againMs + random.between(-3, 9), act: 'change', by, place, scope, mode, readers: [] },
      { atMs: againMs + 1_300, act: 'read', via: 'getOrLoad', by: everybody, place },
    ];
  }

  /** One invalidation after another, each while loads of the last one are on their way, with readers who come right after it. */
  hammer(atMs: number): Step[] {
    const { random } = this;
    const place = random.int(PLACES.length);
    const gapMs = random.between(3, 30);
    return Array.from({ length: 12 }, (_, index) => ({
      atMs: atMs + index * gapMs * random.between(0.5, 1.5),
      act: 'change',
      by: random.int(this.processes),
      place,
      scope: this.scope(),
      mode: random.pick(['expire', 'remove']),
      readers: this.crowd(),
    }));
  }

  /** The server hangs; one process is asked to invalidate meanwhile, and finds it again later than the others. */
  outage(atMs: number): Step[] {
    const { random } = this;
    const place = random.int(PLACES.length);
    const by = random.int(this.processes);
    const forMs = random.between(1_100, 2_500);
    const everybody = Array.from({ length: this.processes }, (_, process) => process);
    const laterMs = atMs + forMs;
    const reads = [50, 300, 700, 1_200, 1_800].map((ms) => laterMs + ms * random.between(0.8, 1.2));
    return [
      { atMs, act: 'read', via: 'getOrLoad', by: everybody, place },
      { atMs: atMs + 60, act: 'pause-server', forMs },
      {
        atMs: atMs + random.between(0, forMs),
        act: 'cut',
        way: 'commands',
        by,
        forMs: forMs + random.between(0, 2_000),
      },
      {
        atMs: atMs + random.between(700, forMs),
        act: 'change',
        by,
        place,
        scope: this.scope(),
        mode: 'expire',
        readers: [by],
      },
      ...reads.map((at) => ({ ...({ act: 'read', via: 'getOrLoad' } as const), by: everybody, place, atMs: at })),
    ];
  }

  private scope(): InvalidationScope {
    return this.random.weighted({ key: 3, tag: 2, domain: 1 });
  }

  /** Some processes, each perhaps with several readers. */
  private crowd(): number[] {
    return Array.from({ length: 2 + this.random.int(6) }, () => this.random.int(this.processes));
  }
}
