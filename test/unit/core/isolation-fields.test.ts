import { describe, expect, it } from 'vitest';
import { Domains } from '../../../lib/engine/domains.js';
import { expectRefusal, refusal, resolve } from './policies.js';

const base = { freshness: 'experience' } as const;

describe('what one method says of the scope', () => {
  it('makes private, and never public', () => {
    expect(resolve(base, { scope: 'private' }).scope).toBe('private');
    expect(resolve({ ...base, scope: 'private' }, { softTtl: '5s' }).scope).toBe('private');
    const error = refusal(() => resolve({ ...base, scope: 'private' }, { scope: 'public' }, 'Accounts.of'));
    expectRefusal(error, 'scope', 'public', 'stays so');
    expect(error.message).toContain('(set by Accounts.of)');
  });
});

describe('what the keys of an application need', () => {
  const needy = { own: { ...base, scope: 'private' }, hidden: { ...base, hashKeys: true } } as const;
  const means = { principal: true, keySecret: true };

  it('is asked for of policies that come before and after it is known', () => {
    for (const [domain, without, field] of [
      ['own', { ...means, principal: false }, 'scope'],
      ['hidden', { ...means, keySecret: false }, 'hashKeys'],
    ] as const) {
      const policies = { [domain]: needy[domain] };
      const early = new Domains();
      early.register(policies, 'the test');
      expect(refusal(() => early.haveMeans(without))).toMatchObject({ code: 'CG_INVALID_POLICY', domain, field });
      const late = new Domains();
      late.haveMeans(without);
      expect(refusal(() => late.register(policies, 'the test'))).toMatchObject({ domain, field });
      expect(late.has(domain)).toBe(false);
      const enough = new Domains();
      enough.haveMeans(means);
      enough.register(policies, 'the test');
      expect(enough.has(domain)).toBe(true);
    }
  });

  it('is asked for of what a call narrows', () => {
    const domains = new Domains();
    domains.register({ offers: base }, 'the test');
    domains.haveMeans({ ...means, principal: false });
    const error = refusal(() => domains.policy('offers', { scope: 'private' }, 'Offers.own'));
    expect(error).toMatchObject({ code: 'CG_INVALID_POLICY', field: 'scope' });
    expect(error.message).toContain('(set by Offers.own)');
  });
});
