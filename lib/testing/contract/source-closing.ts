import assert from 'node:assert/strict';
import { closed, DONE, eventOf, events, Gate, opened, quiet, until, type EventSourceCase } from './source-scenario.js';

export const closingCases: readonly EventSourceCase[] = [
  {
    name: 'close: of one that was never opened, and again, is harmless',
    async run(harness) {
      const source = await harness.create();
      await source.close();
      await source.close();
    },
  },
  {
    name: 'close: nothing is delivered or told any more',
    async run(harness) {
      const one = await opened(await harness.create());
      await harness.publish(events('a'));
      await until('it has come', () => one.listener.ids.includes('a'));
      await closed(one);
      const told = one.listener.lags.length;
      await harness.publish([eventOf('b')]);
      await quiet();
      assert.deepEqual(one.listener.ids, ['a']);
      assert.equal(one.listener.late, 0);
      assert.equal(one.listener.lags.length, told);
    },
  },
  {
    name: 'close: it waits for what is being dealt with',
    async run(harness) {
      const gate = new Gate();
      const one = await opened(await harness.create(), () => gate.opened.then(() => DONE));
      const publishing = harness.publish(events('a'));
      await until('it has come', () => one.listener.ids.includes('a'));
      let over = false;
      const closing = closed(one).then(() => (over = true));
      await quiet();
      assert.equal(over, false);
      gate.open();
      await Promise.all([closing, publishing]);
    },
  },
];
