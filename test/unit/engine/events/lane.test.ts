import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Lane } from '../../../../lib/engine/events/lane.js';
import { gate } from '../../../promises/support/source.js';

describe('a lane', () => {
  it('runs 128 at once, and the others in their order as places become free, also after failures', async () => {
    const lane = new Lane();
    const gates = Array.from({ length: 600 }, () => gate());
    const begun: number[] = [];
    const runs = gates.map(({ opened }, i) => lane.run(() => (begun.push(i), opened)).then(() => i));
    expect(begun).toHaveLength(128);
    const failed = expect(lane.run(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
    gates[100]!.open();
    expect(await runs[100]).toBe(100);
    await setImmediate();
    expect(begun).toHaveLength(129);
    expect(begun.at(-1)).toBe(128);
    for (const { open } of gates) open();
    expect(await Promise.all(runs)).toEqual(gates.map((_, i) => i));
    expect(begun).toEqual(gates.map((_, i) => i));
    await failed;
    expect(await lane.run(async () => 'free')).toBe('free');
  });

  it('gives others their turn, however quickly its work ends', async () => {
    const lane = new Lane();
    let done = 0;
    const runs = Array.from({ length: 5_000 }, () => lane.run(async () => done++));
    await setImmediate();
    expect(done).toBeLessThan(5_000);
    await Promise.all(runs);
    expect(done).toBe(5_000);
  });
});
