import type { DomainPolicies, ProjectedTarget } from 'nestjs-cache-guard';
import { describe, expect } from 'vitest';
import { DOMAINS, type Fleet } from './support/fleet.js';
import { BOTH, promise } from './support/promise.js';

interface Customer {
  readonly name: string;
  readonly card: string;
}

type Shown = Omit<Customer, 'card'>;

const redacted = promise.bind(undefined, 13);
const ADA: Customer = { name: 'Ada', card: '4111' };
const SHOWN: Shown = { name: 'Ada' };
const project = ({ name }: Customer): Shown => ({ name });
const target = (domain: string, key: string): ProjectedTarget<Customer, Shown> => ({ domain, key, project });
const load = async (): Promise<Customer> => ADA;

async function expectKept(fleet: Fleet, domain: string, key: string): Promise<void> {
  for (const { guard } of fleet.members) expect((await guard.peek({ domain, key }))?.value).toEqual(SHOWN);
}

describe('what is left out before storing', () => {
  redacted('no reader gets: neither who loads, nor who waits, nor who comes later', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair();
    const read = ({ guard }: typeof a) => guard.getOrLoad(target('offers', 'gold'), load);
    expect(await Promise.all([read(a), read(a), read(b)])).toEqual([SHOWN, SHOWN, SHOWN]);
    expect(await read(b)).toEqual(SHOWN);
    await expectKept(fleet, 'offers', 'gold');
  });

  redacted('is left out by refresh, put and write-through as well', BOTH, async (fleet) => {
    const [a] = await fleet.pair();
    expect(await a.guard.refresh(target('balances', '1'), load)).toEqual(SHOWN);
    await expectKept(fleet, 'balances', '1');
    expect(await a.guard.put(target('balances', '2'), ADA)).toMatchObject({ stored: true });
    await expectKept(fleet, 'balances', '2');
    expect(await a.guard.writeThrough(target('balances', '3'), load)).toEqual(ADA);
    await expectKept(fleet, 'balances', '3');
  });

  redacted('is left out where nothing is kept', BOTH, async (fleet) => {
    let tenant: string | undefined;
    const domains: DomainPolicies = {
      none: { freshness: 'critical', stalePolicy: 'no-store' },
      tenants: { ...DOMAINS.balances, partition: () => tenant },
    };
    const { guard } = await fleet.start({ domains });
    expect(await guard.getOrLoad(target('none', 'gold'), load)).toEqual(SHOWN);
    expect(await guard.getOrLoad(target('tenants', 'gold'), load)).toEqual(SHOWN);
    tenant = 'a';
    const refusing = guard.getOrLoad(target('tenants', 'gold'), async ({ doNotCache }) => (doNotCache(), ADA));
    expect(await refusing).toEqual(SHOWN);
    expect(await guard.getOrLoad(target('tenants', 'gold'), load)).toEqual(SHOWN);
    const inside = guard.getOrLoad(target('tenants', 'silver'), async () => {
      expect(await guard.getOrLoad(target('tenants', 'silver'), load)).toEqual(SHOWN);
      return ADA;
    });
    expect(await inside).toEqual(SHOWN);
  });

  redacted('is not missed when nothing has changed: what is kept is not projected again', BOTH, async (fleet) => {
    const [a, b] = await fleet.pair({ domains: { rights: { freshness: 'critical' } } });
    await a.guard.getOrLoad(target('rates', 'gold'), load);
    for (const cached of [true, false]) {
      const seen = await b.guard.refresh(target('rates', 'gold'), async (context) => {
        expect(context.previous?.value).toEqual(SHOWN);
        context.notModified();
        if (!cached) await b.guard.getOrLoad({ domain: 'rights', key: 'ada' }, async () => 'all');
        return ADA;
      });
      expect(seen).toEqual(SHOWN);
      if (cached) await expectKept(fleet, 'rates', 'gold');
    }
  });

  redacted(
    'a projection that throws is a load that failed, and keeps no write from its caller',
    BOTH,
    async (fleet) => {
      const a = await fleet.start();
      const { guard } = a;
      const broken = { ...target('balances', 'gold'), project: (): Shown => raise() };
      await expect(guard.getOrLoad(broken, load)).rejects.toThrow('no projection');
      expect(await guard.put(broken, ADA)).toEqual({ outcome: 'applied', stored: false, reason: 'uncacheable' });
      expect(await guard.writeThrough(broken, load)).toEqual(ADA);
      expect(a.all('uncacheable').map(({ reason }) => reason)).toEqual(['policy-threw', 'policy-threw']);
      expect(await guard.peek({ domain: 'balances', key: 'gold' })).toBeUndefined();
    },
  );
});

function raise(): never {
  throw new Error('no projection');
}
