import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { InvalidateBatcher } from '../../lib/adapters/redis/invalidate-batch.js';
import { Keyspace } from '../../lib/adapters/redis/keyspace.js';
import type { ScriptRunner } from '../../lib/adapters/redis/script-runner.js';
import { entryKey } from '../../lib/core/keys.js';

/** What is sent is answered when the test says so. */
function setUp(spread: boolean) {
  const sent: { readonly keys: number; readonly answer: (error?: Error) => void }[] = [];
  const run = (_home: string, _script: unknown, keys: readonly string[]) =>
    new Promise<void>((resolve, reject) => {
      sent.push({ keys: keys.length / 3, answer: (error) => (error ? reject(error) : resolve()) });
    });
  const runner = { run } as unknown as ScriptRunner;
  const batcher = new InvalidateBatcher(runner, { spread }, new Keyspace('test'));
  const add = (count: number) =>
    Array.from({ length: count }, (_, i) =>
      batcher.add(entryKey({ domain: 'offers', segment: `s.${i}` }), 'expire', undefined),
    );
  return { sent, add, keys: () => sent.map(({ keys }) => keys) };
}

describe('invalidations on their way to Redis', () => {
  for (const spread of [false, true]) {
    it(`are 512 keys at most, ${spread ? 'each in a command of its own' : '128 in a command'}`, async () => {
      const { sent, add, keys } = setUp(spread);
      const added = add(1_500);
      await setImmediate();
      expect(keys()).toEqual(spread ? Array.from({ length: 512 }, () => 1) : [128, 128, 128, 128]);
      sent[0]!.answer();
      await setImmediate();
      expect(sent).toHaveLength(spread ? 513 : 5);
      for (let i = 1; i < sent.length; i++) {
        sent[i]!.answer();
        await setImmediate();
      }
      await Promise.all(added);
      expect(keys().reduce((sum, count) => sum + count)).toBe(1_500);
    });
  }

  it('go on after a failure, which is one of those that were sent together', async () => {
    const { sent, add } = setUp(false);
    const ends = add(600).map((one) => one.then(() => 'done', String));
    await setImmediate();
    sent[1]!.answer(new Error('no'));
    await setImmediate();
    for (const { answer } of sent) answer();
    const told = await Promise.all(ends);
    expect(told.map((one, i) => (one === 'done' ? -1 : i)).filter((i) => i >= 0)).toEqual(
      Array.from({ length: 128 }, (_, i) => 128 + i),
    );
    expect(told[128]).toBe('Error: no');
  });
});
