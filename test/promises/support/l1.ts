import { setImmediate } from 'node:timers/promises';
import type { DomainPolicies, HitEvent } from 'nestjs-cache-guard';
import { expect } from 'vitest';
import { promise } from './promise.js';
import type { Fleet, Member } from './fleet.js';

/** Kept in memory without a bound on the time since the last read. */
const KEPT = { freshness: 'reference', softTtl: '1m', hardTtl: '10m', jitter: 0 } as const;

export const L1_DOMAINS = {
  catalog: { ...KEPT, stalePolicy: 'while-revalidate' },
  prices: { ...KEPT, stalePolicy: 'if-error' },
} as const satisfies DomainPolicies;

export interface Target {
  readonly domain: string;
  readonly key: string;
  readonly tags?: readonly string[];
}

export const GOLD = { domain: 'catalog', key: 'gold', tags: ['metal'] } as const;

/** What a reader got, and from where: `load` if the loader was asked. */
export interface Read<T = unknown> {
  readonly value: T;
  readonly from: HitEvent['tier'] | 'load';
  readonly state: HitEvent['state'] | undefined;
}

export const OLD_FRESH = { value: 'old', from: 'l1', state: 'fresh' } as const satisfies Read;

/** What a hit in memory is worth waiting for, in real time. */
const PATIENCE_MS = 3_000;

/** One read, whose loader says `loaded`. */
export async function read(member: Member, target: Target, loaded: unknown = 'loaded'): Promise<Read> {
  const before = member.all('hit').length;
  const value = await member.guard.getOrLoad<unknown>(target, async () => loaded);
  const hit = member.all('hit')[before];
  return { value, from: hit?.tier ?? 'load', state: hit?.state };
}

/** Makes `value` the cached one, if there is none, and reads until it comes from the memory of this process. */
export async function keep(member: Member, target: Target, value: unknown = 'old'): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  let last = await read(member, target, value);
  while (last.from !== 'l1' && performance.now() < deadline) {
    await setImmediate();
    last = await read(member, target, value);
  }
  expect(last).toEqual({ value, from: 'l1', state: 'fresh' });
}

/** Members that have a tier in memory, with domains that use it. */
export function near(fleet: Fleet, options: Parameters<Fleet['start']>[0] = {}): Promise<Member> {
  return fleet.start({ remote: true, ...options, domains: { ...L1_DOMAINS, ...options.domains } });
}

export const trust = promise.bind(undefined, 10);
