import { AsyncResource } from 'node:async_hooks';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { OwnContext } from '../../lib/engine/own-context.js';

type Enter = <T>(run: () => T) => T;

describe('a context of its owner’s', () => {
  test('is seen by nobody else, whoever runs in whom', async () => {
    const [a, b] = [new OwnContext<string>(), new OwnContext<string>()];
    const both = () => [a.current, b.current];
    expect(both()).toEqual([undefined, undefined]);
    await a.run('a1', async () => {
      expect(both()).toEqual(['a1', undefined]);
      await b.run('b1', async () => {
        await Promise.resolve();
        expect(both()).toEqual(['a1', 'b1']);
        expect(a.run('a2', both)).toEqual(['a2', 'b1']);
        expect(both()).toEqual(['a1', 'b1']);
      });
      expect(both()).toEqual(['a1', undefined]);
    });
    expect(both()).toEqual([undefined, undefined]);
  });

  test('keeps no more of those that were than one of each owner', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const [a, b] = [new OwnContext<object>(), new OwnContext<object>()];
    const seen: WeakRef<object>[] = [];
    // Each begins in the context of the one before it, as jobs do that begin the next one.
    let enter: Enter = (run) => run();
    for (let i = 0; i < 10; i++) {
      enter = enter(() => {
        const value = { i };
        seen.push(new WeakRef(value));
        return (i % 2 === 0 ? a : b).run(value, () => AsyncResource.bind<Enter, undefined>((run) => run()));
      });
    }
    await setImmediate();
    collect();
    expect(seen.filter((one) => one.deref()).length).toBe(2);
    expect(enter(() => [a.current, b.current])).toEqual([{ i: 8 }, { i: 9 }]);
  });
});
