import { describe, expect, it } from 'vitest';
import { Remakes, type Remake } from '../../../lib/engine/events/remakes.js';

const method = (key: string): Remake => ({
  kind: 'method',
  plan: () => ({ target: { domain: 'offers', key }, load: async () => key }),
});
const PER_REQUEST = { kind: 'request-scoped' } as const;

describe('ways to make values again', () => {
  it('are known by domain and name; the first that can be run stays', () => {
    const remakes = new Remakes();
    const [first, second] = [method('first'), method('second')];
    remakes.add('offers', 'best', PER_REQUEST);
    remakes.add('offers', 'best', first);
    remakes.add('offers', 'best', second);
    remakes.add('offers', 'best', PER_REQUEST);
    expect(remakes.get('offers', 'best')).toBe(first);
    expect(remakes.get('offers', undefined)).toBeUndefined();
    expect(remakes.get('rates', 'best')).toBeUndefined();
  });

  it('by hand take the place of a method, once', async () => {
    const remakes = new Remakes();
    remakes.add('offers', undefined, method('method'));
    const target = { domain: 'offers', tags: (key: unknown) => [`offer:${String(key)}`], softTtl: '5s' } as const;
    remakes.addLoader(target, async (key) => ({ key }));
    remakes.add('offers', undefined, method('later'));
    const remake = remakes.get('offers', undefined);
    const planned = remake?.kind === 'loader' ? remake.plan('gold') : undefined;
    expect(planned?.target).toEqual({ domain: 'offers', key: 'gold', softTtl: '5s', tags: ['offer:gold'] });
    expect(await planned?.load(undefined as never)).toEqual({ key: 'gold' });
    const second = () => remakes.addLoader({ domain: 'offers' }, async () => 1);
    expect(second).toThrow(expect.objectContaining({ code: 'CG_INVALID_OPTIONS' }));
  });
});
