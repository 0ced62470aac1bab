import assert from 'node:assert/strict';
import { closed, DONE, eventOf, events, Gate, opened, until, type EventSourceCase } from './source-scenario.js';

export const deliveryCases: readonly EventSourceCase[] = [
  {
    name: 'events arrive as they were published, in their order, and as the first try',
    async run(harness) {
      const one = await opened(await harness.create());
      const { listener } = one;
      const ids = Array.from({ length: 20 }, (_, i) => `e${i}`);
      await harness.publish(events(...ids.slice(0, 10)));
      for (const id of ids.slice(10)) await harness.publish(events(id));
      await until('all have come', () => listener.deliveries.length >= ids.length);
      assert.deepEqual(listener.ids, ids);
      const [first] = listener.deliveries;
      assert.equal(first!.tries, 0);
      const { id, source, type, subject, data } = first!.event as Record<string, unknown>;
      assert.deepEqual({ id, source, type, subject, data }, eventOf('e0'));
      await closed(one);
    },
  },
  {
    name: 'two events of one id and of different sources are two',
    async run(harness) {
      const one = await opened(await harness.create());
      await harness.publish([eventOf('a'), { ...eventOf('a'), source: '/elsewhere' }]);
      await until('both have come', () => one.listener.deliveries.length >= 2);
      const sources = one.listener.deliveries.map(({ event }) => (event as { source: string }).source);
      assert.deepEqual(sources, ['/contract', '/elsewhere']);
      await closed(one);
    },
  },
  {
    name: 'an event that takes long holds up no other',
    async run(harness) {
      const gate = new Gate();
      const slow = (id: string) => (id.startsWith('slow') ? gate.opened.then(() => DONE) : DONE);
      const one = await opened(await harness.create(), slow);
      for (let i = 0; i < 8; i++) await harness.publish(events(`slow${i}`));
      await harness.publish(events('quick'));
      await until('the other has come', () => one.listener.ids.includes('quick'));
      gate.open();
      await closed(one);
    },
  },
  {
    name: 'lag: it is said again and again while nothing happens',
    async run(harness) {
      const one = await opened(await harness.create());
      await until('it has been said', () => one.listener.lags.length >= 2);
      assert.equal(one.listener.lags[0], 0);
      await closed(one);
    },
  },
];
