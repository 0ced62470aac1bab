import { describe, expect } from 'vitest';
import type { DomainPolicies } from 'nestjs-cache-guard';
import { decodeEntry, encodeEntry } from '../../lib/core/entry.js';
import { until, type Fleet, type Member } from './support/fleet.js';
import { MEMORY, promise, REDIS } from './support/promise.js';
import { counted } from './support/source.js';

const SHORT = {
  freshness: 'operational',
  softTtl: '10s',
  hardTtl: '30s',
  jitter: 0,
  backoff: { base: 1, max: 1 },
} as const;
const domains = {
  never: { ...SHORT, stalePolicy: 'never' },
  iferror: { ...SHORT, stalePolicy: 'if-error' },
  behind: { ...SHORT, stalePolicy: 'while-revalidate' },
} as const satisfies DomainPolicies;

const at = (domain: keyof typeof domains) => ({ domain, key: 'gold' });
const down = new Error('no source');
const failing = () => Promise.reject(down);

/** What a reader gets when the source is down, and how old it is. */
async function servedNow({ guard }: Member, domain: keyof typeof domains) {
  const { value, served } = await guard.trace(() =>
    guard.getOrLoad<string>(at(domain), failing).catch(() => undefined),
  );
  return { value, ageMs: served[0]?.ageMs, state: served[0]?.state };
}

async function filled(fleet: Fleet): Promise<Member> {
  const a = await fleet.start({ domains });
  for (const domain of Object.keys(domains) as (keyof typeof domains)[])
    await a.guard.getOrLoad(at(domain), async () => 'old');
  return a;
}

describe('bounded age', () => {
  promise(
    4,
    'nothing past the soft TTL is served under never, nothing past the hard TTL under any policy',
    MEMORY,
    async (fleet) => {
      const a = await filled(fleet);
      await fleet.pass(9_999);
      for (const domain of Object.keys(domains))
        expect((await a.guard.peek({ domain, key: 'gold' }))?.state).toBe('fresh');
      await fleet.pass(1);
      expect(await servedNow(a, 'never')).toMatchObject({ value: undefined });
      expect(await a.guard.peek(at('never'))).toBeUndefined();
      expect(await servedNow(a, 'iferror')).toMatchObject({ value: 'old', state: 'stale', ageMs: 10_000 });
      expect(await servedNow(a, 'behind')).toMatchObject({ value: 'old', state: 'stale', ageMs: 10_000 });
      await fleet.pass(19_999);
      expect(await servedNow(a, 'iferror')).toMatchObject({ value: 'old', ageMs: 29_999 });
      expect(await servedNow(a, 'behind')).toMatchObject({ value: 'old', ageMs: 29_999 });
      await fleet.pass(1);
      for (const domain of ['never', 'iferror', 'behind'] as const) {
        expect(await servedNow(a, domain)).toMatchObject({ value: undefined });
        expect(await a.guard.peek(at(domain))).toBeUndefined();
      }
    },
  );

  promise(4, 'an old value does not stand in for a load that fails after its hard TTL', MEMORY, async (fleet) => {
    const a = await filled(fleet);
    await fleet.pass(29_900);
    const source = fleet.source<string>();
    const read = a.guard.getOrLoad(at('iferror'), source.load).catch((error: unknown) => error);
    const load = await source.call(1);
    await fleet.pass(200);
    load.reject(down);
    expect(await read).toBe(down);
  });

  promise(4, 'nor for one that is merely slow', MEMORY, async (fleet) => {
    const a = await filled(fleet);
    await fleet.pass(29_900);
    const source = fleet.source<string>();
    const read = a.guard.getOrLoad(at('iferror'), source.load);
    const load = await source.call(1);
    await fleet.pass(600);
    load.resolve('new');
    expect(await read).toBe('new');
  });

  promise(4, "age counts from the loader's call", MEMORY, async (fleet) => {
    const a = await fleet.start({ domains });
    const source = fleet.source<string>();
    const read = a.guard.getOrLoad(at('never'), source.load);
    const load = await source.call(1);
    await fleet.pass(6_000);
    load.resolve('slow');
    expect(await read).toBe('slow');
    expect((await a.guard.peek(at('never')))?.ageMs).toBe(6_000);
    await fleet.pass(3_999);
    expect(await a.guard.peek(at('never'))).toBeDefined();
    await fleet.pass(1);
    expect(await a.guard.peek(at('never'))).toBeUndefined();
  });

  promise(4, 'a load slower than the hard TTL is for who came before it, and nobody else', MEMORY, async (fleet) => {
    const slow = { ...domains.never, softTtl: '1s', hardTtl: '5s', loadTimeout: '20s' } as const;
    const a = await fleet.start({ domains: { slow } });
    const target = { domain: 'slow', key: 'gold' };
    const source = fleet.source<string>();
    const early = a.guard.getOrLoad(target, source.load);
    const load = await source.call(1);
    const late = a.guard.getOrLoad(target, source.load);
    await fleet.pass(6_000);
    load.resolve('old');
    expect(await early).toBe('old');
    (await source.call(2)).resolve('new');
    expect(await late).toBe('new');
    const next = a.guard.getOrLoad(target, source.load);
    (await source.call(3)).resolve('newer');
    expect(await next).toBe('newer');
  });

  for (const random of [0, 0.5, 0.999_999]) {
    promise(4, `jitter only shortens (random = ${random})`, MEMORY, async (fleet) => {
      const spread = { ...SHORT, stalePolicy: 'if-error', jitter: 0.5 } as const;
      const a = await fleet.start({ domains: { spread }, ids: { random: () => random } });
      await a.guard.getOrLoad({ domain: 'spread', key: 'gold' }, async () => 'old');
      const { softInMs, hardInMs } = (await a.guard.explain({ domain: 'spread', key: 'gold' })).entry!;
      expect(softInMs).toBe(Math.floor(10_000 * (1 - random / 2)));
      expect(hardInMs).toBe(Math.floor(30_000 * (1 - random / 2)));
    });
  }

  promise(4, 'a wall clock that is set back prolongs nothing', MEMORY, async (fleet) => {
    const a = await filled(fleet);
    fleet.clock.jumpWall(-3_600_000);
    await fleet.pass(10_000);
    expect(await a.guard.peek(at('never'))).toBeUndefined();
    await fleet.pass(20_000);
    expect(await servedNow(a, 'iferror')).toMatchObject({ value: undefined });
  });

  promise(4, 'a machine that was suspended (only the wall clock went on) has grown old', MEMORY, async (fleet) => {
    const a = await filled(fleet);
    fleet.clock.jumpWall(10_000);
    expect(await a.guard.peek(at('never'))).toBeUndefined();
    fleet.clock.jumpWall(20_000);
    expect(await servedNow(a, 'behind')).toMatchObject({ value: undefined });
  });

  promise(4, 'a load across which the wall clock was set counts the larger time', MEMORY, async (fleet) => {
    const a = await fleet.start({ domains });
    const source = fleet.source<string>();
    const read = a.guard.getOrLoad(at('never'), source.load);
    const load = await source.call(1);
    fleet.clock.jumpWall(9_000);
    load.resolve('slow');
    expect(await read).toBe('slow');
    await fleet.pass(1_000);
    expect(await a.guard.peek(at('never'))).toBeUndefined();
  });

  promise(4, "a reader's stricter policy bounds what another has kept", MEMORY, async (fleet) => {
    const a = await filled(fleet);
    const strict = { ...at('behind'), softTtl: '2s', hardTtl: '4s', stalePolicy: 'if-error' } as const;
    await fleet.pass(3_000);
    const failed = await a.guard.trace(() => a.guard.getOrLoad<string>(strict, failing));
    expect(failed).toMatchObject({ value: 'old', served: [{ state: 'stale', ageMs: 3_000 }] });
    await fleet.pass(1_000);
    await expect(a.guard.getOrLoad(strict, failing)).rejects.toBe(down);
    expect(await a.guard.getOrLoad(at('behind'), failing)).toBe('old');
  });

  promise(
    4,
    'no probe of the source prolongs the hard TTL, not even that of a stricter reader',
    MEMORY,
    async (fleet) => {
      const probe = async () => 'v1';
      const checked = { ...SHORT, stalePolicy: 'validate', probe } as const;
      const a = await fleet.start({ domains: { checked } });
      const target = { domain: 'checked', key: 'gold' };
      const own = counted((context: { setVersion(etag: string): void }) => (context.setVersion('v1'), 'old'));
      await a.guard.getOrLoad(target, own);
      await fleet.pass(20_000);
      await a.guard.getOrLoad(target, own);
      expect(own.calls).toBe(1);
      await a.guard.getOrLoad({ ...target, hardTtl: '15s' }, own);
      expect(own.calls).toBe(2);
      await fleet.pass(30_000);
      await a.guard.getOrLoad(target, own);
      expect(own.calls).toBe(3);
    },
  );

  promise(4, "and a writer's stricter TTL bounds every reader", MEMORY, async (fleet) => {
    const a = await fleet.start({ domains });
    await a.guard.getOrLoad(
      at('iferror'),
      async (context) => (context.setTtl({ softTtl: '1s', hardTtl: '2s' }), 'old'),
    );
    await fleet.pass(1_000);
    expect(await servedNow(a, 'iferror')).toMatchObject({ value: 'old', state: 'stale' });
    await fleet.pass(1_000);
    expect(await servedNow(a, 'iferror')).toMatchObject({ value: undefined });
  });

  promise(4, 'no load lengthens what the policy allows', MEMORY, async (fleet) => {
    const a = await fleet.start({ domains });
    await a.guard.getOrLoad(at('never'), async (context) => (context.setTtl({ softTtl: '1h', hardTtl: '1d' }), 'old'));
    await fleet.pass(10_000);
    expect(await a.guard.peek(at('never'))).toBeUndefined();
  });

  promise(4, 'a value that is not modified starts anew from the call that said so', MEMORY, async (fleet) => {
    const a = await filled(fleet);
    await fleet.pass(20_000);
    expect(await a.guard.getOrLoad(at('never'), async (context) => context.notModified())).toBe('old');
    await fleet.pass(9_999);
    expect(await a.guard.peek(at('never'))).toMatchObject({ value: 'old', state: 'fresh' });
    await fleet.pass(1);
    expect(await a.guard.peek(at('never'))).toBeUndefined();
  });

  promise(
    4,
    'what is stored in the future is a miss, and does not stand in the way of what is loaded now',
    REDIS,
    async (fleet) => {
      const a = await fleet.start();
      const target = { domain: 'balances', key: 'gold' };
      await a.guard.getOrLoad(target, async () => 'future');
      const [name] = await fleet.raw.keys(`${fleet.namespace}:e:*`);
      const entry = decodeEntry((await fleet.raw.getBuffer(name!))!)!;
      const hour = 3_600_000;
      const moved = {
        ...entry,
        beganMs: entry.beganMs + hour,
        softMs: entry.softMs + hour,
        hardMs: entry.hardMs + hour,
      };
      await fleet.raw.set(name!, encodeEntry(moved));
      const own = counted(() => 'now');
      expect(await a.guard.getOrLoad(target, own)).toBe('now');
      expect(a.all('miss', { cause: 'future' })).toHaveLength(1);
      expect(await a.guard.getOrLoad(target, own)).toBe('now');
      expect(own.calls).toBe(1);
    },
  );

  promise(4, 'the same bounds on the time of a server', REDIS, async (fleet) => {
    const brief = { ...SHORT, softTtl: 100, hardTtl: 300, stalePolicy: 'if-error' } as const;
    const a = await fleet.start({ domains: { brief } });
    const target = { domain: 'brief', key: 'gold' };
    const before = performance.now();
    await a.guard.getOrLoad(target, async () => 'old');
    const states = new Set<string>();
    let lastMs = 0;
    await until(async () => {
      const asked = performance.now();
      const { value, served } = await a.guard.trace(() =>
        a.guard.getOrLoad<string>(target, failing).catch(() => undefined),
      );
      if (value === undefined) return true;
      states.add(served[0]!.state);
      expect(served[0]!.ageMs).toBeLessThan(300);
      if (served[0]!.state === 'fresh') expect(asked - before).toBeLessThan(200);
      lastMs = asked - before;
      return false;
    });
    expect(states).toEqual(new Set(['fresh', 'stale']));
    expect(lastMs).toBeLessThan(500);
  });
});
