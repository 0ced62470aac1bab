import { CacheGuard, type DomainPolicies } from 'nestjs-cache-guard';
import { Codecs } from '../../../lib/adapters/codecs/index.js';
import type { DomainPolicyConfig } from '../../../lib/core/policy.js';
import type { Ids } from '../../../lib/core/ids.js';
import type { LoadContext } from '../../../lib/core/targets.js';
import { Domains } from '../../../lib/engine/domains.js';
import type { Operation, Value } from '../history.js';
import { Recorder, SourceFailed, type Where } from '../recorder.js';
import { Link, type Weather } from './link.js';
import type { Random } from './random.js';
import { RemoteStore } from './remote-store.js';
import type { Schedule } from './schedule.js';
import type { Server } from './server.js';
import { ProcessClock, type Timeline } from './timeline.js';

const LIMITS: Partial<DomainPolicyConfig> = {
  loadTimeout: '800ms',
  softTimeout: '200ms',
  waitBudget: '2500ms',
  hitForMiss: '100ms',
  jitter: 0,
  lease: { duration: '400ms' },
  bulkhead: { concurrency: 2 },
};

/** TTLs so short that a schedule of a few seconds sees everything expire, or so long that nothing does. */
function policiesOf({ lasting }: Schedule): DomainPolicies {
  const factor = lasting ? 20 : 1;
  return {
    balances: {
      ...LIMITS,
      freshness: 'operational',
      softTtl: 2e3 * factor,
      hardTtl: 4e3 * factor,
      stalePolicy: 'never',
    },
    offers: {
      ...LIMITS,
      freshness: 'experience',
      softTtl: 1500 * factor,
      hardTtl: 8e3 * factor,
      negativeTtl: 'off',
      stalePolicy: {
        whileRevalidate: '2s',
        ifError: '6s',
      },
      backoff: {
        base: '200ms',
        max: '1s',
      },
    },
  };
}

/** What all processes of a simulated fleet share. */
export interface World {
  readonly timeline: Timeline;
  readonly server: Server;
  readonly schedule: Schedule;
  readonly random: Random;
  readonly source: Source;
  /** The clock of the history: no two readings are the same. */
  readonly now: () => number;
  readonly record: (operation: Operation) => void;
}

/** Where values come from; it grows newer with every change. */
export class Source {
  private readonly revisions = new Map<string, number>();

  see({ domain, key }: Pick<Where, 'domain' | 'key'>): number {
    return this.revisions.get(`${domain}/${key}`) ?? 0;
  }

  change(where: Pick<Where, 'domain' | 'key'>): number {
    const revision = this.see(where) + 1;
    this.revisions.set(`${where.domain}/${where.key}`, revision);
    return revision;
  }
}

/** One life of one simulated process. */
export class Process {
  readonly clock: ProcessClock;
  readonly link: Link;
  readonly guard: CacheGuard;
  readonly recorder: Recorder;
  private readonly store: RemoteStore;
  private readonly random: Random;
  private opened = false;

  constructor(
    readonly name: string,
    private readonly world: World,
  ) {
    const { timeline, server, schedule, now, record } = world;
    this.random = world.random.fork();
    this.clock = new ProcessClock(timeline, this.random.between(-50, 50));
    this.link = new Link(name, server, timeline, this.clock, this.random.fork(), schedule.weather);
    this.store = new RemoteStore({
      link: this.link,
      server,
      clock: this.clock,
      random: this.random.fork(),
      spread: schedule.spread,
      unanswered: (sentAt) =>
        record({
          op: 'fault',
          what: 'unanswered',
          process: name,
          beganAt: sentAt,
          endedAt: now(),
        }),
      settled: () => this.recorder.carriedOut(now()),
    });
    const domains = new Domains();
    domains.register(policiesOf(schedule), 'the simulator');
    const ids = seededIds(name, this.random.fork());
    this.guard = new CacheGuard({ domains, store: this.store, clock: this.clock, ids, codecs: new Codecs() });
    this.recorder = new Recorder({ guard: this.guard, process: name, now, record });
    void this.guard.open().then(() => (this.opened = true));
  }

  /** Whether it takes calls: an application does once it has booted. */
  get usable(): boolean {
    return this.opened && this.clock.running;
  }

  readonly see =
    (where: Where) =>
    async ({ signal }: LoadContext<Value>): Promise<number> => {
      const { random } = this;
      const { failing, slow, hanging } = this.world.schedule.source;
      const before = random.between(0, 10);
      const after = random.chance(slow) ? random.between(100, 1_500) : random.between(1, 40);
      const [fails, hangs, listens] = [random.chance(failing), random.chance(hanging), random.chance(0.5)];
      await this.pass(before);
      const revision = this.world.source.see(where);
      await Promise.race([this.pass(hangs ? 4_000 : after), ...(listens ? [aborted(signal)] : [])]);
      if (fails) throw new SourceFailed('the source failed');
      return revision;
    };

  readonly write = (where: Where) => async (): Promise<number> => {
    await this.pass(this.random.between(1, 30));
    const revision = this.world.source.change(where);
    await this.pass(this.random.between(1, 30));
    return revision;
  };

  setWeather(weather: Weather): void {
    this.link.weather = weather;
  }

  kill(): void {
    this.recorder.abandon();
    this.clock.kill();
    this.link.close();
  }

  private pass(ms: number): Promise<void> {
    return new Promise((resolve) => this.clock.schedule(ms, resolve));
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

function seededIds(process: string, random: Random): Ids {
  let tokens = 0;
  return {
    process,
    token: () => `${process}.${++tokens}`,
    entryId: () => random.hex(16),
    random: () => random.next(),
  };
}
