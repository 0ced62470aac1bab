import { describe, expect } from 'vitest';
import { DOMAINS, type Member } from './support/fleet.js';
import { ALL, BOTH, promise, REDIS } from './support/promise.js';
import { counted } from './support/source.js';

const BALANCE = { domain: 'balances', key: 'gold', tags: ['customer:1'] };

const INVALIDATIONS: Readonly<Record<string, (member: Member) => Promise<unknown>>> = {
  key: ({ guard }) => guard.invalidate(BALANCE),
  tag: ({ guard }) => guard.invalidateTags({ domain: 'balances', tags: ['customer:1'] }),
  domain: ({ guard }) => guard.invalidateDomain('balances'),
};

describe('read after invalidate: nobody who comes later joins', () => {
  for (const [scope, invalidate] of Object.entries(INVALIDATIONS)) {
    promise(3, `a read that was sent before (${scope})`, ALL, async (fleet) => {
      const [a, b] = await fleet.pair();
      await a.guard.getOrLoad(BALANCE, async () => 'old');
      const held = a.store.delayReply('read');
      const early = a.guard.getOrLoad(BALANCE, async () => 'new');
      await held.struck;
      await invalidate(b);
      const late = a.guard.getOrLoad(BALANCE, async () => 'new');
      expect(await late).toBe('new');
      held.release();
      expect(await early).toBe('old');
    });

    promise(3, `an acquire that was sent before and was granted (${scope})`, ALL, async (fleet) => {
      const [a, b] = await fleet.pair();
      const source = fleet.source<string>();
      const held = a.store.delayReply('acquire');
      const early = a.guard.getOrLoad(BALANCE, source.load);
      await held.struck;
      await invalidate(b);
      const late = a.guard.getOrLoad(BALANCE, source.load);
      held.release();
      // Its load begins only now: after both.
      (await source.call(1)).resolve('new');
      expect(await Promise.all([early, late])).toEqual(['new', 'new']);
    });

    promise(3, `an acquire that was sent before and found another entry (${scope})`, ALL, async (fleet) => {
      const [a, b] = await fleet.pair();
      const request = a.store.delay('acquire');
      const early = a.guard.getOrLoad(BALANCE, async () => 'new');
      await request.struck;
      await b.guard.getOrLoad(BALANCE, async () => 'old');
      const reply = a.store.delayReply('acquire');
      request.release();
      request.release();
      await b.guard.peek(BALANCE);
      await invalidate(b);
      const late = a.guard.getOrLoad(BALANCE, async () => 'new');
      reply.release();
      expect(['old', 'new']).toContain(await early);
      expect(await late).toBe('new');
    });

    for (const deaf of [false, true]) {
      const how = deaf ? ', unheard' : '';
      promise(3, `a load that began before (${scope}${how})`, ALL, async (fleet) => {
        const [a, b] = await fleet.pair();
        a.store.deaf = deaf;
        const source = fleet.source<string>();
        const early = a.guard.getOrLoad(BALANCE, source.load);
        const load = await source.call(1);
        await invalidate(b);
        const late = a.guard.getOrLoad(BALANCE, source.load);
        load.resolve('old');
        expect(await early).toBe('old');
        (await source.call(2)).resolve('new');
        expect(await late).toBe('new');
      });

      promise(3, `a wait for another process's load that began before (${scope}${how})`, BOTH, async (fleet) => {
        const [a, b] = await fleet.pair({ domains: { balances: { ...DOMAINS.balances, lease: { duration: 200 } } } });
        const source = fleet.source<string>();
        void a.guard.getOrLoad(BALANCE, source.load);
        const load = await source.call(1);
        b.store.deaf = deaf;
        const own = counted(() => 'new');
        const early = b.guard.getOrLoad(BALANCE, own);
        await b.heard('lease', { outcome: 'refused' });
        await invalidate(a);
        const late = b.guard.getOrLoad(BALANCE, own);
        load.resolve('old');
        await a.heard('fenced');
        if (deaf) await fleet.pass(260);
        expect(await Promise.all([early, late])).toEqual(['new', 'new']);
        expect(own.calls).toBe(1);
      });
    }

    promise(3, `a commit that was under way (${scope})`, ALL, async (fleet) => {
      const [a, b] = await fleet.pair();
      a.store.deaf = true;
      const held = a.store.delayReply('commit');
      const early = a.guard.getOrLoad(BALANCE, async () => 'old');
      await held.struck;
      await invalidate(b);
      const own = counted(() => 'new');
      expect(await a.guard.getOrLoad(BALANCE, own)).toBe('new');
      expect(own.calls).toBe(1);
      held.release();
      expect(await early).toBe('old');
    });

    promise(3, `a read after a wake-up that was sent before (${scope})`, ALL, async (fleet) => {
      const [a, b] = await fleet.pair();
      const source = fleet.source<string>();
      const first = a.guard.getOrLoad(BALANCE, source.load);
      const load = await source.call(1);
      const own = counted(() => 'new');
      const early = b.guard.getOrLoad(BALANCE, own);
      await b.heard('lease', { outcome: 'refused' });
      const held = b.store.delayReply('read');
      load.resolve('old');
      expect(await first).toBe('old');
      await held.struck;
      await invalidate(a);
      const late = b.guard.getOrLoad(BALANCE, own);
      held.release();
      expect(await early).toBe('old');
      expect(await late).toBe('new');
    });
  }

  promise(3, 'the bytes of a read that are still on the network', REDIS, async (fleet) => {
    const proxy = await fleet.proxy();
    const [a, b] = [await fleet.start({ proxy }), await fleet.start()];
    await a.guard.getOrLoad(BALANCE, async () => 'old');
    const held = proxy.holdReplyOf('mget');
    const early = a.guard.getOrLoad(BALANCE, async () => 'new');
    await held.struck;
    await b.guard.invalidate(BALANCE);
    const late = a.guard.getOrLoad(BALANCE, async () => 'new');
    held.release();
    expect(await Promise.all([early, late])).toEqual(['old', 'new']);
  });

  promise(3, "the bytes of a commit's reply that are still on the network", REDIS, async (fleet) => {
    const proxy = await fleet.proxy();
    const [a, b] = [await fleet.start({ proxy }), await fleet.start()];
    // The seal must do without the message of the invalidation.
    a.store.deaf = true;
    const held = proxy.holdReplyOf((request) => request.includes('\r\nfill\r\n'));
    const early = a.guard.getOrLoad(BALANCE, async () => 'old');
    await held.struck;
    await b.guard.invalidate(BALANCE);
    const late = a.guard.getOrLoad(BALANCE, async () => 'new');
    held.release();
    expect(await Promise.all([early, late])).toEqual(['old', 'new']);
  });

  promise(3, 'a version probe that was sent before', BOTH, async (fleet) => {
    const versions = fleet.source<string>();
    const domains = {
      checked: {
        freshness: 'operational',
        softTtl: '1m',
        hardTtl: '1m',
        stalePolicy: 'validate',
        probe: () => versions.load(undefined as never),
      },
    } as const;
    const [a, b] = await fleet.pair({ domains });
    const target = { domain: 'checked', key: 'gold' };
    const make = (text: string) => async (context: { setVersion(etag: string): void }) => (
      context.setVersion(text),
      text
    );
    await a.guard.getOrLoad(target, make('old'));
    const early = a.guard.getOrLoad(target, make('new'));
    const probe = await versions.call(1);
    await b.guard.invalidate(target);
    const late = a.guard.getOrLoad(target, make('new'));
    probe.resolve('old');
    expect(await early).toBe('old');
    expect(await late).toBe('new');
  });
});
