import * as fc from 'fast-check';
import type { EventRule, KeyPart, LoadContext } from 'nestjs-cache-guard';
import { describe, expect } from 'vitest';
import { APPLIED, event, follow } from './support/events.js';
import { settle, until, type Fleet, type Member } from './support/fleet.js';
import { ALL, BOTH, expectFresh, expectNotFresh, MEMORY, promise, REDIS } from './support/promise.js';

const LONG = { freshness: 'reference', softTtl: '1h', hardTtl: '2h', jitter: 0 } as const;
const domains = {
  strict: { ...LONG, stalePolicy: 'never' },
  lax: { ...LONG, stalePolicy: 'while-revalidate' },
} as const;
const DOMAINS = ['strict', 'lax'] as const;
const TYPES = ['gone', 'reload', 'value'] as const;
const MEMBERS = 3;

interface Change {
  readonly key: string;
  readonly version: number;
}

const keysOf = ({ data }: { data: unknown }): KeyPart => (data as Change).key;
const versionOf = ({ data }: { data: unknown }): number => (data as Change).version;
const valueOf = (version: number | bigint): string => `version ${version}`;

/** Each domain follows each type of event with one of the three actions. */
const rules: EventRule[] = DOMAINS.flatMap((domain): EventRule[] => [
  { on: 'gone', domain, key: keysOf, version: versionOf },
  { on: 'reload', domain, key: keysOf, version: versionOf, action: 'refresh' },
  {
    on: 'value',
    domain,
    keys: (told) => [keysOf(told)],
    action: 'update',
    version: versionOf,
    value: (told) => valueOf(versionOf(told)),
  },
]);

/** One step of a history. Numbers choose among what is there. */
type Step =
  | { readonly do: 'change'; readonly key: number; readonly type: (typeof TYPES)[number] }
  | { readonly do: 'deliver'; readonly to: number; readonly events: readonly number[] }
  | {
      readonly do: 'read';
      readonly by: number;
      readonly key: number;
      readonly domain: number;
      readonly lag: number;
      readonly turns: number;
    }
  | { readonly do: 'pass'; readonly ms: number };

const member = fc.nat(MEMBERS - 1);
const key = fc.nat(1);
const step: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: fc.record({ do: fc.constant('change' as const), key, type: fc.constantFrom(...TYPES) }), weight: 4 },
  {
    arbitrary: fc.record({
      do: fc.constant('deliver' as const),
      to: member,
      events: fc.array(fc.nat(), { minLength: 1, maxLength: 5 }),
    }),
    weight: 4,
  },
  {
    arbitrary: fc.record({
      do: fc.constant('read' as const),
      by: member,
      key,
      domain: fc.nat(1),
      lag: fc.nat(3),
      turns: fc.nat(6),
    }),
    weight: 4,
  },
  { arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(0, 1, 20, 60) }), weight: 2 },
);
/** In which order, and by whom, everything is delivered in the end, once more or for the first time. */
const ending = fc.array(fc.record({ to: member, event: fc.nat() }), { minLength: 10, maxLength: 10 });

const isBehind = (given: bigint | undefined, now: number): boolean => given !== undefined && given < BigInt(now);

/** One history of a source, of which the keys are nobody else's. */
class History {
  private readonly versions = new Map<string, number>();
  private readonly log: ReturnType<typeof event>[] = [];
  private readonly work: Promise<unknown>[] = [];

  constructor(
    private readonly name: string,
    private readonly fleet: Fleet,
    private readonly lagging: boolean,
    private readonly windowMs: number,
  ) {}

  private version(name: string): number {
    return this.versions.get(name) ?? 1;
  }

  private name1(index: number): string {
    return `${this.name}-${index}`;
  }

  async run(steps: readonly Step[], last: readonly { readonly to: number; readonly event: number }[]): Promise<void> {
    for (const one of steps) await this.step(one);
    // At least once each, whatever was delivered before.
    const order = [...this.log.keys()].toSorted((a, b) => rank(last, a) - rank(last, b));
    for (const [i, at] of order.entries()) this.deliver(last[i % last.length]!.to, [at]);
    for (const { to, event: at } of last) if (this.log.length > 0) this.deliver(to, [at % this.log.length]);
    await this.fleet.patiently(Promise.all(this.work));
  }

  private async step(one: Step): Promise<void> {
    switch (one.do) {
      case 'change': {
        const name = this.name1(one.key);
        const version = this.version(name) + 1;
        this.versions.set(name, version);
        this.log.push(event(name, { type: one.type, source: this.name, data: { key: name, version } }));
        return;
      }
      case 'deliver':
        if (this.log.length > 0) this.deliver(one.to, one.events.map((at) => at % this.log.length)); // prettier-ignore
        return;
      case 'read':
        this.read(this.fleet.members[one.by]!, DOMAINS[one.domain]!, this.name1(one.key), one.lag, one.turns);
        return;
      case 'pass':
        // Of real time a history takes enough by itself.
        await (this.windowMs > 0 ? this.fleet.pass(one.ms) : settle(one.ms > 0 ? 3 : 0));
    }
  }

  private deliver(to: number, events: readonly number[]): void {
    this.begin(this.fleet.members[to]!.guard.events.deliver('a stream', events.map((at) => this.log[at]))); // prettier-ignore
  }

  private begin(work: Promise<unknown>): void {
    // Of a history that failed before its end, nobody waits for the rest.
    work.catch(() => {});
    this.work.push(work);
  }

  private read({ guard }: Member, domain: string, name: string, lag: number, turns: number): void {
    const load = (context: LoadContext<string>): Promise<string> => this.load(name, context, lag, turns);
    this.begin(guard.getOrLoad({ domain, key: name }, load));
  }

  /** What the source has now, or a replica, some time later. */
  async load(name: string, context: Pick<LoadContext, 'setVersion'>, lag = 1, turns = 2): Promise<string> {
    const version = Math.max(1, this.version(name) - (this.lagging ? lag : 0));
    await settle(turns);
    context.setVersion(BigInt(version));
    return valueOf(version);
  }

  /** In every process, what is fresh is what the source has now; and it is there, where the last event brought it. */
  async verify(): Promise<void> {
    for (const name of this.versions.keys()) {
      const now = this.version(name);
      const last = this.log.findLast(({ subject }) => subject === name)!;
      for (const domain of DOMAINS) {
        for (const { guard } of this.fleet.members) {
          const seen = await guard.peek<string>({ domain, key: name });
          if (seen?.state === 'fresh') expect(seen).toMatchObject({ version: BigInt(now), value: valueOf(now) });
          if (last.type === 'value') expect(seen).toMatchObject({ state: 'fresh', value: valueOf(now) });
        }
      }
    }
    // In the memory of each process as well, as soon as what the others said has arrived.
    await until(async () => !(await this.isServedOld()), 'what is old to be fresh nowhere');
  }

  private async isServedOld(): Promise<boolean> {
    for (const name of this.versions.keys()) {
      for (const domain of DOMAINS) {
        for (const { guard } of this.fleet.members) {
          const load = (context: LoadContext<string>): Promise<string> => this.load(name, context, 0, 0);
          const { served, value } = await guard.trace(() => guard.getOrLoad({ domain, key: name }, load));
          const [{ state, version } = { state: 'loaded', version: undefined }] = served;
          if (state !== 'stale' && isBehind(version, this.version(name))) return true;
          if (domain === 'strict' && value !== valueOf(this.version(name))) return true;
        }
      }
    }
    return false;
  }
}

/** The place of a log entry in a random order. */
function rank(order: readonly { readonly event: number }[], at: number): number {
  return (order[at % order.length]!.event ^ (at * 2_654_435_761)) >>> 0;
}

let histories = 0;

/** A fleet whose processes refresh from the history that a key belongs to. */
async function start(fleet: Fleet, windowMs: number): Promise<Map<string, History>> {
  const known = new Map<string, History>();
  const members = await fleet.startAll(MEMBERS, { domains, remote: true, scheduled: false });
  for (const one of members) {
    for (const domain of DOMAINS) {
      one.guard.events.loader(domain, (name, context) =>
        known.get((name as string).split('-')[0]!)!.load(name as string, context),
      );
    }
    follow(one, rules, windowMs);
  }
  return known;
}

const GOLD = { domain: 'strict', key: 'gold' } as const;
const told = (type: (typeof TYPES)[number], version: number) => event('gold', { type, data: { key: 'gold', version } });

async function pair(fleet: Fleet): Promise<[Member, Member]> {
  const members = await fleet.pair({ domains });
  for (const one of members) follow(one, rules);
  return members;
}

const loaded = ({ guard }: Member, version: bigint) =>
  guard.refresh(GOLD, async (context) => (context.setVersion(version), valueOf(version)));

describe('an event that comes late', () => {
  promise(11, 'leaves what is as new alone, in whichever process', ALL, async (fleet) => {
    const [a, b] = await pair(fleet);
    await loaded(a, 7n);
    for (const version of [6, 7]) {
      await b.guard.events.publish(told('gone', version));
      await expectFresh([a, b], GOLD, valueOf(7));
      await b.guard.events.publish(told('value', version - 1));
      await expectFresh([a, b], GOLD, valueOf(7));
    }
    await b.guard.events.publish(told('gone', 8));
    await expectNotFresh([a, b], GOLD, valueOf(7));
  });

  promise(11, 'does not make welcome what a newer one has ended', ALL, async (fleet) => {
    const [a, b] = await pair(fleet);
    await a.guard.events.publish(told('gone', 9));
    await b.guard.events.publish(told('gone', 7));
    await b.guard.events.publish(told('value', 8));
    expect(await loaded(b, 8n)).toBe(valueOf(8));
    await expectNotFresh([a, b], GOLD, valueOf(8));
    await loaded(a, 9n);
    await expectFresh([a, b], GOLD, valueOf(9));
  });

  for (const [held, other] of [
    [1, 2],
    [2, 1],
  ] as const) {
    promise(11, `leaves the newest value, though ${other} is put while ${held} is on its way`, ALL, async (fleet) => {
      const [a, b] = await pair(fleet);
      const onItsWay = a.store.delay('commit', DOMAINS.length);
      const verdict = a.guard.events.publish(told('value', held));
      await onItsWay.struck;
      await b.guard.events.publish(told('value', other));
      await expectFresh([a, b], GOLD, valueOf(other));
      onItsWay.release();
      expect(await verdict).toEqual(APPLIED);
      await expectFresh([a, b], GOLD, valueOf(2));
    });
  }

  promise(11, 'and so does a put by hand that a newer one has overtaken', BOTH, async (fleet) => {
    const [a, b] = await pair(fleet);
    const onItsWay = a.store.delay('commit');
    const put = a.guard.put(GOLD, valueOf(1), { version: 1n });
    await onItsWay.struck;
    await b.guard.put(GOLD, valueOf(2), { version: 2n });
    onItsWay.release();
    expect(await put).toEqual({ outcome: 'applied', stored: false, reason: 'overlapped' });
    await expectFresh([a, b], GOLD, valueOf(2));
  });
});

describe('events that are duplicated, reordered and replayed by several processes', () => {
  for (const [lagging, what] of [
    [false, 'a source that tells what it has'],
    [true, 'a replica that lags'],
  ] as const) {
    for (const [kinds, runs, windowMs] of [
      [MEMORY, 150, 50],
      [MEMORY, 100, 0],
      [REDIS, 10, 5],
    ] as const) {
      promise(
        11,
        `leave the cache where in-order delivery would, over ${what}, merged within ${windowMs} ms`,
        kinds,
        async (fleet) => {
          const known = await start(fleet, windowMs);
          await fc.assert(
            fc.asyncProperty(
              fc.array(step, { minLength: 20, maxLength: 60, size: 'max' }),
              ending,
              async (steps, last) => {
                const name = `h${++histories}`;
                const history = new History(name, fleet, lagging, windowMs);
                known.set(name, history);
                await history.run(steps, last);
                await history.verify();
              },
            ),
            // The seed is told at once: to look for a smaller history would take longer than a test may.
            { numRuns: runs, endOnFailure: true },
          );
        },
      );
    }
  }
});
