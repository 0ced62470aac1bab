import { describe, expect, test } from 'vitest';
import { readRule } from '../../lib/core/rules.js';
import { failureOf } from '../e2e/support/app.js';
import { Fleet, settle, until, type Member, type MemberOptions, type StoreKind } from './support/fleet.js';
import { GOLD, keep, near, OLD_FRESH, read, type Read } from './support/l1.js';
import { BOTH, MEMORY } from './support/promise.js';
import { counted } from './support/source.js';

const GOLD_PRICE = { domain: 'prices', key: 'gold' } as const;

function ownWrites(title: string, kinds: readonly StoreKind[], run: (fleet: Fleet) => Promise<void>): void {
  for (const kind of kinds) {
    test(`read your writes: ${title} [${kind}]`, async () => {
      const fleet = new Fleet(kind);
      try {
        await run(fleet);
      } finally {
        await fleet.close();
      }
    });
  }
}

async function pair(fleet: Fleet, options: MemberOptions = {}): Promise<[Member, Member]> {
  return [await near(fleet, options), await near(fleet, options)];
}

/** What a session needs to carry on elsewhere after `write`. */
async function tokenAfter({ guard }: Member, write: () => Promise<unknown>): Promise<string> {
  const token = await guard.session(async () => {
    await write();
    return guard.sessionToken();
  });
  expect(token).toMatch(/^v1\.\w+~\w+/);
  return token!;
}

/** Lets the store's time pass what the token says: by as much as a process does not know it exactly, a mark is early. */
async function pass(fleet: Fleet, token: string): Promise<void> {
  if (fleet.kind === 'memory') return fleet.pass(5);
  const atMs = Number.parseInt(token.split('~')[1]!, 36);
  await until(async () => {
    const [seconds, micros] = await fleet.raw.time();
    return Number(seconds) * 1_000 + Number(micros) / 1_000 > atMs;
  }, 'the time of the mark');
}

function readIn(member: Member, token: string, target: Parameters<typeof read>[1], loaded: unknown): Promise<Read> {
  return member.guard.session(() => read(member, target, loaded), { token });
}

const WRITES: Readonly<Record<string, (member: Member) => Promise<unknown>>> = {
  'an invalidation': ({ guard }) => guard.invalidate(GOLD),
  'one that removes': ({ guard }) => guard.invalidate({ ...GOLD, mode: 'remove' }),
  'one of a tag': ({ guard }) => guard.invalidateTags({ domain: 'catalog', tags: ['metal'] }),
  'one of the domain': ({ guard }) => guard.invalidateDomain('catalog'),
  put: ({ guard }) => guard.put(GOLD, 'new'),
  refresh: ({ guard }) => guard.refresh(GOLD, async () => 'new'),
  'a write-through': ({ guard }) => guard.writeThrough(GOLD, async () => 'new'),
};

describe('carried to another process', () => {
  for (const [name, write] of Object.entries(WRITES)) {
    ownWrites(`${name}: its memory shows the old value to others, and not to who wrote`, BOTH, async (fleet) => {
      const [writer, reader] = await pair(fleet);
      await keep(reader, GOLD);
      // What the writer says has not arrived yet; for a while the reader's memory is trusted all the same.
      reader.store.deaf = true;
      const token = await tokenAfter(writer, () => write(writer));
      expect(await read(reader, GOLD)).toEqual(OLD_FRESH);
      expect(await readIn(reader, token, GOLD, 'new')).toMatchObject({ value: 'new' });
    });
  }

  ownWrites('who wrote waits for the load, while others have the stale value', BOTH, async (fleet) => {
    const [writer, reader] = await pair(fleet);
    await keep(reader, GOLD);
    const token = await tokenAfter(writer, () => writer.guard.invalidate(GOLD));
    await until(async () => (await reader.guard.peek(GOLD))?.state === 'stale', 'the signal');
    await pass(fleet, token);
    const source = fleet.source<string>();
    const own = reader.guard.session(() => reader.guard.getOrLoad(GOLD, source.load), { token });
    const load = await source.call(1);
    expect(await reader.guard.getOrLoad(GOLD, source.load)).toBe('old');
    expect(await reader.guard.session(() => reader.guard.peek(GOLD), { token })).toBeUndefined();
    load.resolve('new');
    expect(await own).toBe('new');
    // From now on memory is new enough for him as well.
    await until(async () => (await readIn(reader, token, GOLD, 'newer')).from === 'l1', 'a hit in memory');
    expect(await readIn(reader, token, GOLD, 'newer')).toEqual({ value: 'new', from: 'l1', state: 'fresh' });
    expect(source.calls.length).toBe(1);
  });

  ownWrites('what the store calls fresh is served, whenever it was loaded', BOTH, async (fleet) => {
    const [writer, reader] = await pair(fleet);
    const silver = { ...GOLD, key: 'silver' };
    await keep(reader, silver);
    const token = await tokenAfter(writer, () => writer.guard.invalidate(GOLD));
    expect(await readIn(reader, token, silver, 'new')).toEqual({ value: 'old', from: 'l2', state: 'fresh' });
    expect(await readIn(reader, token, { ...silver, domain: 'prices' }, 'price')).toMatchObject({ value: 'price' });
  });

  ownWrites('if the load fails, the error: what he has replaced stands in for nothing', BOTH, async (fleet) => {
    const [writer, reader] = await pair(fleet, { domains: { prices: { ...PRICES, softTimeout: '20ms' } } });
    await keep(reader, GOLD_PRICE);
    const token = await tokenAfter(writer, () => writer.guard.invalidate(GOLD_PRICE));
    await until(async () => (await reader.guard.peek(GOLD_PRICE))?.state !== 'fresh', 'the signal');
    const down = async (): Promise<string> => Promise.reject(new Error('down'));
    const own = () => reader.guard.session(() => reader.guard.getOrLoad(GOLD_PRICE, down), { token });
    expect(await failureOf(own)).toMatchObject({ message: 'down' });
    expect(await reader.guard.getOrLoad(GOLD_PRICE, down)).toBe('old');
    // Nor for a slow one.
    const source = fleet.source<string>();
    const slow = reader.guard.session(() => reader.guard.getOrLoad(GOLD_PRICE, source.load), { token });
    const load = await source.call(1);
    await fleet.pass(60);
    load.resolve('new');
    expect(await slow).toBe('new');
  });
});

const PRICES = { freshness: 'reference', softTtl: '1m', hardTtl: '10m', jitter: 0, stalePolicy: 'if-error' } as const;

describe('a load that began before the write', () => {
  for (const deaf of [false, true]) {
    const heard = deaf ? 'has not been heard of' : 'has been heard of';
    ownWrites(`is not his, when the write ${heard}`, BOTH, async (fleet) => {
      const [writer, reader] = await pair(fleet);
      const source = fleet.source<string>();
      const early = reader.guard.getOrLoad(GOLD, source.load);
      const before = await source.call(1);
      reader.store.deaf = deaf;
      const token = await tokenAfter(writer, () => writer.guard.invalidate(GOLD));
      const own = reader.guard.session(() => reader.guard.getOrLoad(GOLD, source.load), { token });
      await settle();
      before.resolve('old');
      expect(await early).toBe('old');
      (await source.call(2)).resolve('new');
      expect(await own).toBe('new');
    });
  }

  ownWrites('is not his behind a stale value either', BOTH, async (fleet) => {
    const [writer, reader] = await pair(fleet);
    await keep(reader, GOLD);
    await writer.guard.invalidate(GOLD);
    const source = fleet.source<string>();
    await until(async () => {
      expect(await reader.guard.getOrLoad(GOLD, source.load)).toBe('old');
      return source.calls.length > 0;
    }, 'the refresh');
    const token = await tokenAfter(writer, () => writer.guard.invalidate(GOLD));
    const own = reader.guard.session(() => reader.guard.getOrLoad(GOLD, source.load), { token });
    await settle();
    (await source.call(1)).resolve('older');
    (await source.call(2)).resolve('new');
    expect(await own).toBe('new');
  });
});

describe('a write of which the store was not told', () => {
  async function pending(fleet: Fleet): Promise<{ reader: Member; token: () => Promise<string> }> {
    const [writer, reader] = await pair(fleet);
    const token = async (): Promise<string> => {
      const refused = writer.store.fail('invalidate', Infinity);
      const given = await tokenAfter(writer, async () =>
        expect(await writer.guard.invalidate(GOLD)).toEqual({ outcome: 'pending' }),
      );
      expect(given).toMatch(/^v1\.catalog~\w+~\w+$/);
      fleet.finally(() => refused.release());
      return given;
    };
    return { reader, token };
  }

  ownWrites('nothing from before it is his, fresh as it may be', BOTH, async (fleet) => {
    const { reader, token } = await pending(fleet);
    await keep(reader, GOLD);
    const given = await token();
    await pass(fleet, given);
    expect(await read(reader, GOLD)).toEqual(OLD_FRESH);
    expect(await readIn(reader, given, GOLD, 'new')).toEqual({ value: 'new', from: 'load', state: undefined });
    expect(await readIn(reader, given, GOLD, 'newer')).toMatchObject({ value: 'new' });
    expect(await read(reader, GOLD)).toMatchObject({ value: 'new' });
  });

  ownWrites('nor a load from before it, which the store takes for sound', BOTH, async (fleet) => {
    const { reader, token } = await pending(fleet);
    const source = fleet.source<string>();
    const early = reader.guard.getOrLoad(GOLD, source.load);
    const before = await source.call(1);
    const given = await token();
    const own = reader.guard.session(() => reader.guard.getOrLoad(GOLD, source.load), { token: given });
    await settle();
    before.resolve('old');
    expect(await early).toBe('old');
    (await source.call(2)).resolve('new');
    expect(await own).toBe('new');
  });

  ownWrites('nor an answer that the source gave by throwing', BOTH, async (fleet) => {
    const { reader, token } = await pending(fleet);
    const source = fleet.source<string>();
    const gone = Object.assign(new Error('gone'), { getStatus: () => 404 });
    const early = reader.guard.getOrLoad(GOLD, source.load).catch((error: unknown) => error);
    const before = await source.call(1);
    const given = await token();
    const own = reader.guard.session(() => reader.guard.getOrLoad(GOLD, source.load), { token: given });
    await settle();
    before.reject(gone);
    expect(await early).toBe(gone);
    (await source.call(2)).resolve('new');
    expect(await own).toBe('new');
  });

  ownWrites('nor what this process loaded while the store was away', MEMORY, async (fleet) => {
    const [writer, reader] = await pair(fleet);
    const away = reader.store.fail('read', Infinity);
    expect(await read(reader, GOLD, 'old')).toMatchObject({ from: 'load' });
    const stale = { value: 'old', from: 'l1', state: 'stale' };
    expect(await read(reader, GOLD, 'refreshed')).toEqual(stale);
    // The server's clock may be behind this machine's.
    for (const { store } of [writer, reader]) store.now = () => fleet.clock.wall() - 5_000;
    writer.store.fail('invalidate', Infinity);
    const token = await tokenAfter(writer, () => writer.guard.invalidate(GOLD));
    expect(await readIn(reader, token, GOLD, 'new')).toMatchObject({ value: 'new', from: 'load' });
    away.release();
    writer.store.heal();
  });
});

describe('a session', () => {
  ownWrites('goes on inside loads', MEMORY, async (fleet) => {
    const [writer, reader] = await pair(fleet);
    await keep(reader, GOLD);
    const token = await tokenAfter(writer, () => writer.guard.invalidate(GOLD));
    const page = () => reader.guard.getOrLoad(GOLD_PRICE, () => reader.guard.getOrLoad(GOLD, async () => 'new'));
    expect(await reader.guard.session(page, { token })).toBe('new');
  });

  ownWrites('knows of nothing before it writes, and of nothing outside', MEMORY, async (fleet) => {
    const [writer] = await pair(fleet);
    const { guard } = writer;
    expect(guard.sessionToken()).toBeUndefined();
    await guard.session(async () => {
      expect(guard.sessionToken()).toBeUndefined();
      const inner = await guard.session(async () => (await guard.invalidate(GOLD), guard.sessionToken()));
      expect(inner).toMatch(/^v1\.catalog~/);
      expect(guard.sessionToken()).toBe(inner);
      await Promise.all([guard.session(() => guard.invalidate(GOLD_PRICE)), guard.session(async () => {})]);
      expect(guard.sessionToken()).toMatch(/^v1\.catalog~\w+\.prices~\w+$/);
    });
    expect(guard.sessionToken()).toBeUndefined();
    await guard.invalidate(GOLD);
    expect(guard.session(() => guard.sessionToken())).toBeUndefined();
  });

  ownWrites('learns from a token that comes later, and of the future not even then', MEMORY, async (fleet) => {
    const [writer, reader] = await pair(fleet);
    const { guard } = reader;
    const token = await tokenAfter(writer, () => writer.guard.invalidate(GOLD));
    guard.session(() => {
      guard.session(() => {}, { token });
      expect(guard.sessionToken()).toBe(token);
      guard.session(() => {}, { token: 'v1.catalog~zzzzzzzzz' });
      expect(guard.sessionToken()).toBe(token);
    });
  });

  ownWrites('has written what an event says that it publishes', MEMORY, async (fleet) => {
    const [writer, reader] = await pair(fleet);
    await keep(reader, GOLD);
    const rule = readRule({ on: 'metal.changed', domain: 'catalog', key: () => 'gold' }, 'the test');
    writer.guard.events.configure({ rules: [rule], mergeWindowMs: 0 });
    const publish = () => writer.guard.events.publish({ id: '1', source: '/metals', type: 'metal.changed' });
    reader.store.deaf = true;
    const token = await tokenAfter(writer, publish);
    expect(await read(reader, GOLD)).toEqual(OLD_FRESH);
    expect(await readIn(reader, token, GOLD, 'new')).toMatchObject({ value: 'new' });
    const other = () => writer.guard.events.publish({ id: '2', source: '/metals', type: 'metal.sold' });
    expect(await writer.guard.session(async () => (await other(), writer.guard.sessionToken()))).toBeUndefined();
  });

  ownWrites('forgets what nothing that is kept can be older than', MEMORY, async (fleet) => {
    const [writer, reader] = await fleet.pair();
    const token = await tokenAfter(writer, () => writer.guard.invalidateDomain('offers'));
    const again = () => reader.guard.session(() => reader.guard.sessionToken(), { token });
    expect(again()).toBe(token);
    await fleet.pass(10 * 60_000);
    expect(again()).toBe(token);
    await fleet.pass(2 * 3_600_000);
    expect(again()).toBeUndefined();
  });

  ownWrites('that claims to come from the future is one of now', BOTH, async (fleet) => {
    const [, reader] = await pair(fleet);
    await keep(reader, GOLD);
    const load = counted<string>((_context, call) => `load ${call}`);
    const own = () => reader.guard.getOrLoad(GOLD, load);
    const forged = 'v1.catalog~zzzzzzzzz~zzzzzzzzz';
    await reader.guard.session(
      async () => {
        await pass(fleet, reader.guard.sessionToken()!);
        expect(await own()).toBe('load 1');
        expect(await own()).toBe('load 1');
        expect(reader.guard.sessionToken()).not.toBe(forged);
      },
      { token: forged },
    );
    // The next request of the forger costs a load again, and nobody else anything.
    expect(await read(reader, GOLD)).toMatchObject({ value: 'load 1', state: 'fresh' });
  });

  // prettier-ignore
  const NO_TOKENS: readonly unknown[] = [
    '', 'v1', 'v1.', 'v2.catalog~abc', 'v1.catalog', 'v1.catalog~', 'v1.catalog~ABC', 'v1.catalog~zzzzzzzzzz',
    'v1.catalog~z~z~z', 'v1.catalog~z ', `v1.${'a'.repeat(65)}~z`, `v1${'.catalog~zzzzzzzz'.repeat(40)}`,
    'v1.somebody-elses~zzzzzzzz~zzzzzzzz', undefined, null, 7, {}, ['v1.catalog~z', 'v1.catalog~z'],
  ];

  ownWrites('ignores what is no token', MEMORY, async (fleet) => {
    const [, reader] = await pair(fleet);
    await keep(reader, GOLD);
    for (const token of NO_TOKENS) {
      await reader.guard.session(
        async () => {
          expect(await read(reader, GOLD), String(token)).toEqual(OLD_FRESH);
          expect(reader.guard.sessionToken()).toBeUndefined();
        },
        { token },
      );
    }
  });

  ownWrites('two applications in a process have none in common', MEMORY, async (fleet) => {
    const [one, two] = await pair(fleet);
    await one.guard.session(async () => {
      await one.guard.invalidate(GOLD);
      expect(two.guard.sessionToken()).toBeUndefined();
    });
  });
});
