import { describe, expect } from 'vitest';
import type { DomainPolicies } from 'nestjs-cache-guard';
import { DOMAINS, type Fleet, type Member, until } from './support/fleet.js';
import { BOTH, promise, REDIS } from './support/promise.js';
import { counted } from './support/source.js';

const MARKER = 'ada-1815';
const SECRET = 'a secret of the test, of 32 bytes!';
const domains: DomainPolicies = {
  cards: { ...DOMAINS.offers, hashKeys: true, scope: 'private', partition: () => `${MARKER}-bank` },
  names: { ...DOMAINS.offers, hashKeys: true },
  odd: { ...DOMAINS.offers, hashKeys: true, partition: () => ({ bank: MARKER }) as never },
  plain: DOMAINS.offers,
};

const start = (fleet: Fleet, keySecret = SECRET): Promise<Member> =>
  fleet.start({ domains, principal: () => MARKER, keySecret });

/** All that Redis has: names, and what they hold. */
async function dump(fleet: Fleet): Promise<string> {
  const texts: string[] = [];
  for (const name of await fleet.raw.keys(`${fleet.namespace}*`)) {
    const bytes = await fleet.raw.dumpBuffer(name);
    texts.push(name, bytes?.toString('latin1') ?? '');
  }
  return texts.join('\n');
}

describe('keys of a domain that hides them', () => {
  promise(13, 'show nothing in Redis, in events, in errors', REDIS, async (fleet) => {
    const a = await start(fleet);
    const heard: string[] = [];
    const listener = fleet.raw.duplicate();
    fleet.finally(() => listener.disconnect());
    await listener.psubscribe(`${fleet.namespace}*`);
    listener.on('pmessageBuffer', (_pattern, _channel, message: Buffer) => heard.push(message.toString('latin1')));
    const target = (domain: string, key: unknown) =>
      ({ domain, key, tags: [MARKER], name: 'Cards.find' }) as never as Parameters<Member['guard']['peek']>[0];
    const keys = [MARKER, [MARKER], { card: MARKER }, 5, new Date(0), 1n];
    const refuse = async (given: object): Promise<void> => {
      const read = a.guard.getOrLoad(given as never, async () => 1);
      const error = await read.catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'CG_UNUSABLE_KEY' });
      heard.push(String(error), JSON.stringify(error));
    };
    for (const domain of ['cards', 'names']) {
      for (const key of keys) {
        await a.guard.getOrLoad(target(domain, key), async () => 'kept');
        await a.guard.refresh(target(domain, key), async () => 'kept');
        await a.guard.put(target(domain, key), 'kept');
        heard.push(JSON.stringify(await a.guard.explain(target(domain, key))));
        await a.guard.invalidate({ domain, key, name: 'Cards.find' });
      }
      await a.guard.invalidateTags({ domain, tags: [MARKER] });
      for (const bad of [undefined, '', () => MARKER, Object.assign(new Map(), { a: MARKER })])
        await refuse(target(domain, bad));
    }
    for (const tags of [MARKER, [{ of: MARKER }], [[MARKER]]]) await refuse({ domain: 'names', key: 'a', tags });
    await refuse({ domain: 'odd', key: 'a' });
    await until(async () => (await dump(fleet)).includes(':e:{cards:'));
    const seen = [await dump(fleet), JSON.stringify(a.events), ...heard].join('\n');
    for (const secret of [MARKER, Buffer.from(MARKER).toString('base64'), SECRET])
      expect(seen.includes(secret) ? secret : '').toBe('');
    const parts = [...seen.matchAll(/\b(?:cards|names):(?:s\.Cards\.find)?:([\w.:-]+)/g)].flatMap(([, rest]) =>
      rest!.split(':'),
    );
    expect(parts.length).toBeGreaterThan(100);
    expect(parts.filter((part) => part !== '' && !/^m\.[\w-]{43}$/.test(part))).toEqual([]);
    // The search finds what is there.
    await a.guard.getOrLoad(target('plain', MARKER.slice(0, 6)), async () => 'kept');
    expect(await dump(fleet)).toContain(MARKER.slice(0, 6));
  });

  promise(13, 'are one for all who have the secret, and none for others', BOTH, async (fleet) => {
    const [a, b] = [await start(fleet), await start(fleet)];
    const other = await start(fleet, 'another secret of 32 bytes or so');
    const own = counted<number>((_context, call) => call);
    const read = ({ guard }: Member) => guard.getOrLoad({ domain: 'names', key: MARKER, tags: ['t'] }, own);
    expect([await read(a), await read(b), await read(other)]).toEqual([1, 1, 2]);
    await b.guard.invalidate({ domain: 'names', key: MARKER, mode: 'remove' });
    await until(async () => (await a.guard.peek({ domain: 'names', key: MARKER })) === undefined);
    expect([await read(a), await read(other)]).toEqual([3, 2]);
    await b.guard.invalidateTags({ domain: 'names', tags: ['t'], mode: 'remove' });
    await until(async () => (await a.guard.peek({ domain: 'names', key: MARKER })) === undefined);
    expect([await read(a), await read(other)]).toEqual([4, 2]);
  });

  promise(13, 'are not one where equal texts are in different places', BOTH, async (fleet) => {
    const a = await start(fleet);
    const own = counted<number>((_context, call) => call);
    for (const [i, key] of [MARKER, [MARKER], '5', 5, 5n, true, 'true'].entries()) {
      for (const [j, name] of [undefined, 'n', 'm'].entries())
        expect(await a.guard.getOrLoad({ domain: 'names', key, name }, own)).toBe(3 * i + j + 1);
    }
  });
});
