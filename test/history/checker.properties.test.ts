import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { check } from './checker.js';
import { invalidation, load, never, of, read } from './examples.js';
import type { Load, Operation } from './history.js';

test('a fleet that reads straight from one place that is always right breaks no rule', () => {
  const event = fc.record({
    kind: fc.constantFrom('read', 'load', 'invalidate'),
    gap: fc.integer({ min: 1, max: 900 }),
    process: fc.constantFrom('a', 'b'),
  });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      const operations: Operation[] = [];
      let current: Load | undefined;
      let now = 0;
      for (const [index, { kind, gap, process }] of events.entries()) {
        now += gap;
        if (kind === 'invalidate') {
          operations.push(invalidation(process, now, now + 0.5));
          current = undefined;
        } else if (kind === 'load' || !current || now - current.beganAt > never.hardMs) {
          current = load(`${process}.${index}`, now, now + 0.5, { revision: index });
          operations.push(current);
        } else {
          operations.push(read(process, now, current.id, { revision: current.revision!, tier: 'l2' }));
        }
      }
      expect(check(of(operations)).breaches).toEqual([]);
    }),
  );
});

test('of many histories with one stale read among sound ones, exactly that one is found, as three operations', () => {
  fc.assert(
    fc.property(fc.nat(40), fc.nat(40), (before, after) => {
      const sound = (index: number) => [
        load(`a.${index}`, index * 10, index * 10 + 2),
        read('b', index * 10 + 3, `a.${index}`),
      ];
      const noise = [...Array(before + 1 + after).keys()]
        .filter((index) => index !== before)
        .flatMap((index) => sound(index + 1));
      const at = (before + 1) * 10 + 5;
      const wrong = [invalidation('c', at, at + 0.5), read('b', at + 1, `a.${before + 1}`)];
      const made = load(`a.${before + 1}`, (before + 1) * 10, (before + 1) * 10 + 2);
      const { breaches } = check(of([...noise, made, ...wrong]));
      expect(breaches.map(({ operations }) => operations.length)).toEqual([3]);
    }),
  );
});
