import { Cluster } from 'ioredis';
import { afterEach, describe, expect, inject, it } from 'vitest';
import { gate } from '../promises/support/source.js';
import { until } from '../support/redis-server.js';
import { DONE, numbered, StreamBench, type Heard } from './support/stream.js';

const benches: StreamBench[] = [];
afterEach(async () => {
  for (const one of benches.splice(0)) await one.close();
});

function bench(): StreamBench {
  const made = StreamBench.on(inject('redisUrl'));
  benches.push(made);
  return made;
}

const dead = (heard: Heard, count: number) => until('it was put aside', async () => heard.dead.length >= count);
const settled = (b: StreamBench) => until('nothing is pending', async () => (await b.pending()) === 0);

describe('dead letters', () => {
  it.each([
    ['no such field', ['other', 'x'], "the entry has no field 'event'"],
    ['no JSON', ['event', '{"id":'], "its field 'event' is no JSON"],
    ['bytes that are no text', ['event', Buffer.from([0x22, 0xff, 0x22])], "its field 'event' is no text in UTF-8"],
  ] as const)(
    '%s: it is put aside at once with all that it had, and the others come',
    async (_title, fields, reason) => {
      const b = bench();
      const { heard } = await b.follow();
      await b.publish('before');
      const id = await b.raw.xadd(b.stream, '*', ...fields, 'more', 'kept');
      await b.publish('after');
      await dead(heard, 1);
      await until('the others came', async () => heard.ids.length === 2);
      expect(heard.ids).toEqual(['before', 'after']);
      expect(heard.dead).toEqual([{ event: undefined, reason }]);
      const [letter, ...more] = await b.deadLetters();
      expect(more).toEqual([]);
      const { [fields[0]]: _content, ...rest } = letter!;
      expect(rest).toEqual({ reason, tries: '1', id, stream: b.stream, group: b.group, more: 'kept' });
      const [[, raw]] = (await b.raw.xrangeBuffer(`{${b.stream}}:dead`, '-', '+')) as [[Buffer, Buffer[]]];
      expect(raw.some((value) => value.equals(Buffer.from(fields[1])))).toBe(true);
      await settled(b);
    },
  );

  it('say how often it was tried and why it failed the last time; the event is theirs too', async () => {
    const b = bench();
    const { heard } = await b.follow({ maxTries: 3 }, (other) => {
      other.answer = (id, tries) => (id === 'bad' ? { kind: 'retry', reason: `try ${tries}` } : DONE);
    });
    await b.publish('bad', ...numbered(3));
    await dead(heard, 1);
    const [letter] = await b.deadLetters();
    expect(letter).toMatchObject({ reason: 'try 2', tries: '3' });
    expect(JSON.parse(letter!['event']!)).toMatchObject({ specversion: '1.0', id: 'bad', data: { of: 'bad' } });
    expect(heard.ids.filter((id) => id === 'bad')).toHaveLength(3);
    await settled(b);
  });

  it('get what ends every process that tries it, without its being tried again', async () => {
    const b = bench();
    await b.makeGroup();
    await b.publish('deadly');
    const [[id]] = (await b.raw.xrange(b.stream, '-', '+')) as [[string, string[]]];
    await b.readAndDie(1);
    for (const consumer of ['second', 'third']) await b.raw.xclaim(b.stream, b.group, consumer, 0, id);
    const { heard } = await b.follow({ maxTries: 3, claimAfterMs: 20 });
    await dead(heard, 1);
    expect(heard.ids).toEqual([]);
    expect(heard.dead[0]!.reason).toBe('nothing became of it in 3 tries');
    await settled(b);
  });

  it('that cannot be written hold up nothing, and lose nothing', async () => {
    const b = bench();
    const deadLetters = `${b.stream}:aside`;
    await b.raw.set(deadLetters, 'no stream');
    const { heard } = await b.follow({ deadLetters }, (other) => {
      other.answer = (id) => (id === 'bad' ? { kind: 'poison', reason: 'it is bad' } : DONE);
    });
    await b.publish('bad', 'a');
    await until('trouble is told', async () => heard.troubles.length > 0);
    await b.publish('b');
    await until('the others came', async () => heard.ids.includes('b'));
    expect(heard.dead).toEqual([]);
    await b.raw.del(deadLetters);
    await dead(heard, 1);
    expect(await b.deadLetters(deadLetters)).toMatchObject([{ reason: 'it is bad' }]);
    await settled(b);
  });

  it('are written when what they may have concerned is invalidated, and hold up nothing until then', async () => {
    const b = bench();
    const hold = gate();
    const asked: string[] = [];
    const { heard } = await b.follow({}, (other) => {
      other.answer = (id) => (id === 'bad' ? { kind: 'poison', reason: 'it is bad' } : DONE);
      other.atGivingUp = (id) => (asked.push(id), hold.opened);
    });
    await b.publish('bad', 'a');
    await b.raw.xadd(b.stream, '*', 'event', 'no JSON');
    await until('both are given up', async () => asked.length === 2);
    // Batches beyond number: none of them waits for it.
    for (const id of numbered(100)) await b.publish(id);
    await until('the others came', async () => heard.ids.length === 102);
    await until('only they are pending', async () => (await b.pending()) === 2);
    expect([heard.dead, await b.deadLetters()]).toEqual([[], []]);
    hold.open();
    await dead(heard, 2);
    expect(asked.toSorted()).toEqual(['bad', 'undefined']);
    await settled(b);
  });

  it('are not written while that is not confirmed: the event comes again, as if it had not been tried', async () => {
    const b = bench();
    let away = true;
    const { heard } = await b.follow({ maxTries: 2 }, (other) => {
      other.answer = (id, tries) => ({ kind: 'retry', reason: `${id} ${tries}` });
      other.atGivingUp = async () => {
        if (away) throw new Error('the store is away');
      };
    });
    await b.publish('bad');
    await until('it came again and again', async () => heard.ids.length > 4);
    expect(await b.pending()).toBe(1);
    expect([heard.dead, await b.deadLetters()]).toEqual([[], []]);
    away = false;
    await dead(heard, 1);
    expect(heard.dead[0]!.reason).toBe('bad 1');
    await settled(b);
  });

  it('wait for the end of an application no longer than it takes: what is not put aside comes again', async () => {
    const b = bench();
    const asked: string[] = [];
    const { source } = await b.follow({ graceMs: 50 }, (other) => {
      other.answer = () => ({ kind: 'poison', reason: 'it is bad' });
      other.atGivingUp = (id) => (asked.push(id), new Promise(() => {}));
    });
    await b.publish('bad');
    await until('it is given up', async () => asked.length === 1);
    await source.close();
    const { heard } = await b.follow({}, (other) => (other.answer = () => ({ kind: 'poison', reason: 'it is bad' })));
    await dead(heard, 1);
    await settled(b);
  });

  it('have a reason of bounded length', async () => {
    const b = bench();
    const reason = 'x'.repeat(10_000);
    const { heard } = await b.follow({}, (other) => (other.answer = () => ({ kind: 'poison', reason })));
    await b.publish('bad');
    await dead(heard, 1);
    expect((await b.deadLetters())[0]!['reason']).toHaveLength(500);
  });

  it('are bounded in number', async () => {
    const b = bench();
    const { heard } = await b.follow({ maxDeadLetters: 100 }, (other) => {
      other.answer = () => ({ kind: 'poison', reason: 'all are bad' });
    });
    await b.publish(...numbered(1_000));
    await dead(heard, 1_000);
    // Redis trims whole nodes, of 100 entries by default.
    expect(await b.raw.xlen(`{${b.stream}}:dead`)).toBeLessThanOrEqual(200);
  });

  it.each(['', 'app:'])(
    'lie beside their stream in a cluster, and under the prefix of the connection (%o)',
    async (keyPrefix) => {
      const client = new Cluster(inject('clusterNodes'), { lazyConnect: true, keyPrefix });
      const b = new StreamBench({ client }, inject('redisUrl'));
      benches.push(b);
      b.finally(() => client.disconnect());
      const { heard } = await b.follow({}, (other) => (other.answer = () => ({ kind: 'poison', reason: 'bad' })));
      await b.publish('a');
      await dead(heard, 1);
      const looking = new Cluster(inject('clusterNodes'));
      b.finally(() => looking.disconnect());
      expect(await looking.xlen(`${keyPrefix}{${keyPrefix}${b.stream}}:dead`)).toBe(1);
      expect(await looking.xlen(keyPrefix + b.stream)).toBe(1);
    },
  );

  it('of a stream whose name has a hash tag have it too', async () => {
    const b = bench();
    const stream = `{${b.stream}}:events`;
    const { heard } = await b.follow({ stream });
    await b.raw.xadd(stream, '*', 'x', 'y');
    await dead(heard, 1);
    expect(await b.deadLetters(`${stream}:dead`)).toHaveLength(1);
  });
});
