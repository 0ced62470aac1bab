import assert from 'node:assert/strict';
import {
  closed,
  DONE,
  events,
  Gate,
  opened,
  quiet,
  until,
  type EventSourceCase,
  type EventSourceHarness,
} from './source-scenario.js';

const triesOf = ({ maxTries = 5 }: EventSourceHarness): number => maxTries;

export const sharingCases: readonly EventSourceCase[] = [
  {
    name: 'retry: it comes again, with the tries counted, until it is done',
    async run(harness) {
      const answer = (id: string, tries: number) =>
        id === 'a' && tries === 0 ? ({ kind: 'retry', reason: 'not yet' } as const) : DONE;
      const one = await opened(await harness.create(), answer);
      await harness.publish(events('a', 'b'));
      await until('it has come again', () => one.listener.triesOf('a').length === 2);
      await quiet();
      assert.deepEqual(one.listener.triesOf('a'), [0, 1]);
      assert.deepEqual(one.listener.triesOf('b'), [0]);
      assert.deepEqual(one.listener.dead, []);
      await closed(one);
    },
  },
  {
    name: 'retry: after the last try it is put aside with the reason, and not delivered again',
    async run(harness) {
      const answer = (id: string) => (id === 'bad' ? ({ kind: 'retry', reason: 'it fails' } as const) : DONE);
      const one = await opened(await harness.create(), answer);
      await harness.publish(events('bad', 'good'));
      await until('it was put aside', () => one.listener.dead.length > 0);
      await quiet();
      const tries = Array.from({ length: triesOf(harness) }, (_, i) => i);
      assert.deepEqual(one.listener.triesOf('bad'), tries);
      assert.deepEqual(
        one.listener.dead.map(({ event, reason }) => [(event as { id: string }).id, reason]),
        [['bad', 'it fails']],
      );
      await closed(one);
    },
  },
  {
    name: 'later: it comes again as often as need be, and that is no try',
    async run(harness) {
      let left = triesOf(harness) + 1;
      const answer = () => (left-- > 0 ? ({ kind: 'later', reason: 'the store is away' } as const) : DONE);
      const one = await opened(await harness.create(), answer);
      await harness.publish(events('a'));
      await until('it was done', () => left < 0);
      await quiet();
      assert.deepEqual(one.listener.triesOf('a'), Array(triesOf(harness) + 2).fill(0));
      assert.deepEqual(one.listener.dead, []);
      await closed(one);
    },
  },
  {
    name: 'poison: it is put aside at once, and holds up no other',
    async run(harness) {
      const answer = (id: string) => (id === 'bad' ? ({ kind: 'poison', reason: 'no event' } as const) : DONE);
      const one = await opened(await harness.create(), answer);
      await harness.publish(events('a', 'bad', 'b'));
      await harness.publish(events('c'));
      await until('it was put aside, and the others came', () => {
        return one.listener.dead.length > 0 && one.listener.deliveries.length >= 4;
      });
      await quiet();
      assert.deepEqual(one.listener.ids.toSorted(), ['a', 'b', 'bad', 'c']);
      assert.deepEqual(
        one.listener.dead.map(({ reason }) => reason),
        ['no event'],
      );
      await closed(one);
    },
  },
  {
    name: 'two processes: each event reaches one of them',
    async run(harness) {
      const one = await opened(await harness.create());
      const other = await opened(await harness.another());
      const ids = Array.from({ length: 50 }, (_, i) => `e${i}`);
      for (const id of ids) await harness.publish(events(id));
      const all = () => [...one.listener.ids, ...other.listener.ids];
      await until('all have come', () => all().length >= ids.length);
      await quiet();
      assert.deepEqual(all().toSorted(), ids.toSorted());
      await closed(one, other);
    },
  },
  {
    name: 'what is published while nobody listens comes when somebody does',
    async run(harness) {
      const one = await opened(await harness.create());
      await closed(one);
      await harness.publish(events('a', 'b'));
      const other = await opened(await harness.another());
      await until('both have come', () => other.listener.deliveries.length >= 2);
      assert.deepEqual(other.listener.ids, ['a', 'b']);
      assert.deepEqual(other.listener.losses, []);
      await closed(other);
    },
  },
  {
    name: 'close: what was done stays done, and what was not comes to another process',
    async run(harness) {
      const answer = (id: string) => (id === 'b' ? ({ kind: 'retry', reason: 'not here' } as const) : DONE);
      const one = await opened(await harness.create(), answer);
      await harness.publish(events('a', 'b'));
      await until('both have come', () => one.listener.deliveries.length >= 2);
      await closed(one);
      const other = await opened(await harness.another());
      await until('it has come', () => other.listener.ids.includes('b'));
      await quiet();
      assert.deepEqual(other.listener.ids, ['b']);
      await closed(other);
    },
  },
  {
    name: 'lag: it grows while an event is not dealt with, and is 0 afterwards',
    async run(harness) {
      const gate = new Gate();
      const one = await opened(await harness.create(), () => gate.opened.then(() => DONE));
      const { lags } = one.listener;
      await harness.publish(events('a'));
      await until('it has grown', () => lags.some((ms, i) => ms > 0 && ms < (lags.at(-1) ?? 0) && i < lags.length - 1));
      gate.open();
      await until('it is over', () => lags.at(-1) === 0);
      await closed(one);
    },
  },
];
