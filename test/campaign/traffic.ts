import type { CacheGuard, LoadContext } from 'nestjs-cache-guard';
import { Agent, request, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { loadContext } from '../../lib/index.js';
import type { Invalidation, Operation, Value } from '../history/history.js';
import { SourceFailed, type Recorder, type Where } from '../history/recorder.js';
import type { Journal } from './journal.js';
import type { PendingWatch } from './pending-watch.js';
import { DOMAINS, KEYS_PER_DOMAIN, TAGS_PER_DOMAIN, VERSIONED, type Domain, type MemberOptions } from './protocol.js';
import type { Random } from './random.js';

interface TrafficParts {
  readonly options: MemberOptions;
  readonly guard: CacheGuard;
  readonly recorder: Recorder;
  readonly journal: Journal;
  readonly pending: PendingWatch;
  readonly now: () => number;
  readonly random: Random;
}

const TICK_MS = 10;
/** After a stop, what was not asked meanwhile is not made up for. */
const MOST_AT_ONCE = 20;
/** Longer than any budget: who has not been answered then never will be. */
const SETTLE_MS = 7_000;
const NAMES = Object.keys(DOMAINS) as Domain[];

/** Readers and writers of one process. Readers come at their rate, whatever becomes of those before them. */
export class Traffic {
  private readonly agent = new Agent({ keepAlive: true, maxSockets: 256 });
  private readonly underway = new Set<Promise<unknown>>();
  private timer: NodeJS.Timeout | undefined;
  private stopping: Promise<void> | undefined;
  private owed = { reads: 0, writes: 0 };
  private tickedAt = 0;

  constructor(private readonly parts: TrafficParts) {}

  start(): void {
    this.tickedAt = this.parts.now();
    this.timer = setInterval(() => this.tick(), TICK_MS);
  }

  /** Resolves when all that was under way has ended, or certainly never will. */
  stop(): Promise<void> {
    this.stopping ??= (async () => {
      clearInterval(this.timer);
      const patience = new AbortController();
      const tooLong = pause(SETTLE_MS, undefined, { signal: patience.signal }).catch(() => {});
      await Promise.race([Promise.all(this.underway), tooLong]);
      patience.abort();
      this.parts.recorder.abandon();
      this.agent.destroy();
    })();
    return this.stopping;
  }

  private tick(): void {
    const { options, random } = this.parts;
    const at = this.parts.now();
    const seconds = (at - this.tickedAt) / 1_000;
    this.tickedAt = at;
    this.owed.reads = Math.min(this.owed.reads + seconds * options.readsPerSecond, MOST_AT_ONCE);
    this.owed.writes = Math.min(this.owed.writes + seconds * options.writesPerSecond, 2);
    while (this.owed.reads > random.next()) {
      // Now and then a crowd comes for the same key.
      const crowd = random.chance(0.01) ? 15 : 1;
      const where = this.somewhere();
      for (let reader = 0; reader < crowd; reader++) this.run(this.read(where));
      this.owed.reads -= crowd;
    }
    while (this.owed.writes > random.next()) {
      // Now and then some write the same at the same time.
      const crowd = random.chance(0.1) ? 3 : 1;
      const where = this.somewhere();
      for (let writer = 0; writer < crowd; writer++) this.run(this.writeAndLook(where, crowd > 1));
      this.owed.writes -= crowd;
    }
  }

  private run(work: Promise<unknown>): void {
    const done: Promise<unknown> = work.finally(() => this.underway.delete(done));
    this.underway.add(done);
  }

  /** Some keys are asked for much more often than others. */
  private somewhere(): Where {
    const { random } = this.parts;
    const domain = random.pick(NAMES);
    const number = Math.floor(KEYS_PER_DOMAIN * random.next() ** 3);
    const tags = [`t${number % TAGS_PER_DOMAIN}`];
    return { domain, key: `k${number}`, tags, versioned: VERSIONED.includes(domain) };
  }

  private read(where: Where): Promise<void> {
    const { random, recorder } = this.parts;
    const kind = random.next();
    const via = kind < 0.95 ? 'getOrLoad' : kind < 0.985 ? 'peek' : 'refresh';
    // Half of the loaders do not listen when they are told to stop.
    const heeds = random.chance(0.5);
    return recorder.read(via, where, (context: LoadContext<Value>) =>
      this.ask('GET', where, heeds ? context.signal : undefined),
    );
  }

  /** Who has written looks at once what became of it. */
  private async writeAndLook(where: Where, contended: boolean): Promise<void> {
    await this.write(where, contended ? 0.9 : 0.3);
    await this.read(where);
  }

  /** `puts`: share of writes of versioned values that bring the new value along. */
  private async write(where: Where, puts: number): Promise<void> {
    const { random, recorder } = this.parts;
    const { domain, key, tags, versioned } = where;
    if (versioned && random.chance(puts)) {
      const begun = { process: this.parts.options.name, domain, key, tags, id: 'underway', beganAt: this.parts.now() };
      if (random.chance(0.7)) {
        const revision = await this.ask('POST', where).catch(() => undefined);
        // Meanwhile another one may write what is newer.
        if (random.chance(0.5)) await pause(random.spread(5, 300));
        if (revision !== undefined)
          await this.noted({ op: 'put', via: 'put', ...begun }, () => recorder.put(where, revision));
        return;
      }
      const write = async (): Promise<number> => {
        const revision = await this.ask('POST', where);
        loadContext().setVersion(BigInt(revision));
        return revision;
      };
      return this.noted({ op: 'put', via: 'write-through', ...begun }, () => recorder.writeThrough(where, write));
    }
    await this.ask('POST', where).catch(() => {});
    const kind = random.next();
    await this.invalidate(kind < 0.7 ? 'key' : kind < 0.97 ? 'tag' : 'domain', where);
  }

  private async invalidate(scope: Invalidation['scope'], { domain, key, tags }: Where): Promise<void> {
    const { guard, journal, pending, now, options } = this.parts;
    const mode = DOMAINS[domain as Domain].stalePolicy === 'never' ? 'remove' : 'expire';
    const name = scope === 'key' ? { name: key } : scope === 'tag' ? { name: tags[0]! } : {};
    const begun = { op: 'invalidation', process: options.name, domain, scope, ...name, mode, beganAt: now() } as const;
    await this.noted(begun, async () => {
      const over = await this.carryOut(guard, scope, begun);
      const invalidation: Invalidation = { ...begun, outcome: over, endedAt: now() };
      journal.record(invalidation);
      if (over === 'pending') pending.add(invalidation);
    });
  }

  private async carryOut(
    guard: CacheGuard,
    scope: Invalidation['scope'],
    { domain, name, mode }: Invalidation,
  ): Promise<'applied' | 'pending' | 'failed'> {
    try {
      if (scope === 'domain') return (await guard.invalidateDomain(domain, { mode })).outcome;
      if (scope === 'tag') return (await guard.invalidateTags({ domain, tags: [name!], mode })).outcome;
      return (await guard.invalidate({ domain, key: name!, mode })).outcome;
    } catch {
      return 'failed';
    }
  }

  /** If the process dies meanwhile, it is known that this had begun. */
  private async noted(begun: Operation, work: () => Promise<void>): Promise<void> {
    const done = this.parts.journal.begin(begun);
    await work();
    done();
  }

  /** The revision at the source: as it is (`GET`), or after a change (`POST`). */
  private async ask(method: 'GET' | 'POST', { domain, key }: Where, signal?: AbortSignal): Promise<number> {
    const url = `${this.parts.options.origin}/${domain}/${key}`;
    const options = { method, agent: this.agent, ...(signal && { signal }) };
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request(url, options, resolve).on('error', reject).end();
    });
    const revision = Number(await text(response));
    if (response.statusCode !== 200) throw new SourceFailed('the source failed');
    return revision;
  }
}
