import { describe, expect, it } from 'vitest';
import { Renewal } from '../../lib/adapters/redis/renewal.js';

function setup(status: string) {
  const calls: string[] = [];
  const client = {
    status,
    connect: async () => void calls.push('connect'),
    disconnect: (again = false) => void calls.push(again ? 'disconnect, to connect again' : 'disconnect'),
  };
  return { calls, renewal: new Renewal(client as unknown as ConstructorParameters<typeof Renewal>[0]) };
}

describe('Renewal', () => {
  for (const status of ['ready', 'connect', 'reconnecting', 'close']) {
    it(`gives a connection that is '${status}' up for a new one`, () => {
      const { renewal, calls } = setup(status);
      renewal.renew();
      expect(calls).toEqual(['disconnect, to connect again']);
    });
  }

  it('leaves a client alone that looks for its server: it would end for good', () => {
    const { renewal, calls } = setup('connecting');
    renewal.renew();
    expect(calls).toEqual([]);
  });

  it('begins again what has ended for good', () => {
    const { renewal, calls } = setup('end');
    renewal.renew();
    expect(calls).toEqual(['connect']);
  });

  it('does nothing more once it is closed', () => {
    for (const status of ['ready', 'end']) {
      const { renewal, calls } = setup(status);
      renewal.close();
      renewal.renew();
      expect(calls).toEqual(['disconnect']);
    }
  });
});
