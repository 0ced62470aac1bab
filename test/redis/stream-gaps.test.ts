import { afterEach, describe, expect, inject, it } from 'vitest';
import { startRedis, until } from '../support/redis-server.js';
import { numbered, StreamBench } from './support/stream.js';

const benches: StreamBench[] = [];
afterEach(async () => {
  for (const one of benches.splice(0)) await one.close();
});

function bench(url = inject('redisUrl')): StreamBench {
  const made = StreamBench.on(url);
  benches.push(made);
  return made;
}

async function ownServer(args: readonly string[] = []) {
  const server = await startRedis({ args });
  const made = bench(server.url);
  made.finally(() => server.stop());
  return { server, bench: made };
}

const came = (heard: { readonly ids: readonly string[] }, ...ids: readonly string[]) =>
  until(`${ids.join()} came`, async () => ids.every((id) => heard.ids.includes(id)));

describe('what a stream has lost', () => {
  it('trimmed before anybody read it: told once, before anything that comes after', async () => {
    const b = bench();
    await b.makeGroup();
    await b.publish(...numbered(10));
    await b.raw.xtrim(b.stream, 'MAXLEN', 4);
    const { heard, source } = await b.follow();
    await came(heard, 'e9');
    expect(heard.told).toEqual(['lost: events were removed before anybody read them: 6', ...numbered(10).slice(6)]);
    await b.publish('on');
    await came(heard, 'on');
    await until('all is acknowledged', async () => (await b.pending()) === 0);
    await source.close();
    await b.raw.xtrim(b.stream, 'MAXLEN', 0);
    await b.publish('last');
    const next = await b.follow();
    await came(next.heard, 'last');
    expect([...heard.losses.slice(1), ...next.heard.losses]).toEqual([]);
  });

  it('trimmed to nothing: told, and what is published then comes', async () => {
    const b = bench();
    await b.makeGroup();
    await b.publish(...numbered(3));
    await b.raw.xtrim(b.stream, 'MAXLEN', 0);
    const { heard } = await b.follow();
    await until('it is told', async () => heard.losses.length > 0);
    await until('it is lost no more', async () => heard.lags.length > 2);
    const other = await b.follow();
    await b.publish('next');
    await until('it came', async () => [...heard.ids, ...other.heard.ids].includes('next'));
    expect(other.heard.losses).toEqual([]);
    expect(heard.losses).toEqual(['lost: events were removed before anybody read them: 3']);
  });

  it('trimmed after it was read and acknowledged: nothing is lost', async () => {
    const b = bench();
    const { heard } = await b.follow();
    await b.publish(...numbered(10));
    await came(heard, 'e9');
    await until('all is acknowledged', async () => (await b.pending()) === 0);
    await b.raw.xtrim(b.stream, 'MAXLEN', 0);
    await b.publish('a', 'b');
    await came(heard, 'b');
    await b.raw.xtrim(b.stream, 'MAXLEN', 1);
    await b.publish('c');
    await came(heard, 'c');
    const next = await b.follow();
    await b.publish(...numbered(10, 'n'));
    await until('all have come', async () => heard.ids.length + next.heard.ids.length === 23);
    expect([...heard.losses, ...next.heard.losses]).toEqual([]);
  });

  it('trimmed in the same step in which it was published, under a process that waits for news', async () => {
    const b = bench();
    const { heard } = await b.follow();
    await b.publish('first');
    await came(heard, 'first');
    const many = b.raw.multi();
    for (const id of numbered(20))
      many.xadd(b.stream, '*', 'event', JSON.stringify({ id, source: '/b', type: 'changed' }));
    await many.xtrim(b.stream, 'MAXLEN', 5).exec();
    await came(heard, 'e19');
    expect(heard.told).toEqual([
      'first',
      'lost: events were removed before anybody read them: 15',
      ...numbered(20).slice(15),
    ]);
  });

  it('deleted before anybody read it, behind others that are still there: told once', async () => {
    const b = bench();
    const { source, heard: before } = await b.follow();
    await b.publish('first');
    await came(before, 'first');
    await source.close();
    await b.publish('a', 'b', 'c');
    const [, , deleted] = await b.raw.xrange(b.stream, '-', '+');
    await b.raw.xdel(b.stream, deleted![0]);
    const { heard } = await b.follow();
    await came(heard, 'c');
    await b.publish('d');
    await came(heard, 'd');
    expect(heard.told).toEqual(['lost: events were removed before anybody read them', 'a', 'c', 'd']);
  });

  it('deleted with nothing behind it: told once in the fleet', async () => {
    const b = bench();
    const { heard: before, source } = await b.follow();
    await b.publish('first');
    await came(before, 'first');
    await source.close();
    await b.publish('a');
    const [, deleted] = await b.raw.xrange(b.stream, '-', '+');
    await b.raw.xdel(b.stream, deleted![0]);
    const { heard } = await b.follow();
    await until('it is told and dealt with', async () => heard.losses.length > 0 && heard.lags.length > 1);
    const other = await b.follow();
    await b.publish('b');
    await until('it came', async () => [...heard.ids, ...other.heard.ids].includes('b'));
    expect([heard.losses, other.heard.losses]).toEqual([['lost: events were removed before anybody read them'], []]);
  });

  it('trimmed while it was pending with a process that has died: told, and the rest is dealt with', async () => {
    const b = bench();
    await b.makeGroup();
    await b.publish(...numbered(6));
    await b.readAndDie(6);
    await b.raw.xtrim(b.stream, 'MAXLEN', 4);
    const { heard } = await b.follow({ claimAfterMs: 20 });
    await until('nothing is pending', async () => (await b.pending()) === 0);
    expect(heard.losses).toEqual(['lost: events were removed before they were dealt with: 2']);
    expect(heard.ids).toEqual(numbered(6).slice(2));
  });

  it('is not passed over when it could not be told, nor when the process that was told dies', async () => {
    const b = bench();
    await b.makeGroup();
    await b.publish(...numbered(10));
    await b.raw.xtrim(b.stream, 'MAXLEN', 4);
    let asked = 0;
    let go = () => {};
    const never = new Promise<void>((resolve) => (go = resolve));
    const first = await b.follow({ consumer: 'hangs', commandTimeoutMs: 200 }, (heard) => {
      heard.atLoss = () => (++asked, never);
    });
    b.finally(() => go());
    await until('it was told', async () => asked === 1);
    const { heard } = await b.follow({}, (other) => {
      other.atLoss = async () => {
        if (++asked === 2) throw new Error('not now');
      };
    });
    await came(heard, 'e9');
    expect(heard.told).toEqual(['lost: events were removed before anybody read them: 6', ...numbered(10).slice(6)]);
    expect(heard.troubles).toHaveLength(1);
    expect(first.heard.told).toEqual([]);
  });
});

describe('a group that is not there', () => {
  it('of a stream that nobody has written to: nothing is lost', async () => {
    const b = bench();
    const { heard } = await b.follow();
    await b.publish('a');
    await came(heard, 'a');
    expect(heard.told).toEqual(['a']);
  });

  it('of a stream that was written to: what came before is lost, unless it is read from the start', async () => {
    const b = bench();
    await b.publish('before');
    const { heard } = await b.follow();
    await b.publish('after');
    await came(heard, 'after');
    expect(heard.told).toEqual(['lost: the group is new, and events were published before', 'after']);
    const whole = await b.follow({ group: 'whole', from: 'start' });
    await came(whole.heard, 'after');
    expect(whole.heard.told).toEqual(['before', 'after']);
    await b.raw.xtrim(b.stream, 'MAXLEN', 1);
    const rest = await b.follow({ group: 'rest', from: 'start' });
    await came(rest.heard, 'after');
    expect(rest.heard.told).toEqual(['lost: the group is new, and events were published before', 'after']);
  });

  it('what is published while its loss is told is not lost', async () => {
    const b = bench();
    await b.publish('before');
    const { heard } = await b.follow({}, (other) => (other.atLoss = () => b.publish('meanwhile')));
    await came(heard, 'meanwhile');
  });

  it('any more, because somebody deleted the stream: told, and it goes on', async () => {
    const b = bench();
    const { heard } = await b.follow();
    await b.publish('a');
    await came(heard, 'a');
    await b.raw.del(b.stream);
    await until('it is told', async () => heard.losses.length > 0);
    await b.publish('b');
    await came(heard, 'b');
    expect(heard.told).toEqual(['a', 'lost: the stream, or its group, was not there any more', 'b']);
  });
});

describe('a server that has come back', () => {
  it('empty: told, and it goes on', async () => {
    const { server, bench: b } = await ownServer();
    const { heard } = await b.follow();
    await b.publish('a');
    await came(heard, 'a');
    await server.kill();
    await server.restart({ from: 'empty' });
    await until('it is told', async () => heard.losses.length > 0);
    await b.publish('b');
    await came(heard, 'b');
    expect(heard.losses).toEqual(['lost: the stream, or its group, was not there any more']);
    expect(heard.troubles.length).toBeGreaterThan(0);
  });

  it('from an older snapshot: told before anything that was published since', async () => {
    const { server, bench: b } = await ownServer();
    const { heard } = await b.follow();
    await b.publish('a');
    await came(heard, 'a');
    await server.snapshot();
    await b.publish('forgotten');
    await came(heard, 'forgotten');
    await server.kill();
    await server.restart({ from: 'snapshot' });
    await b.publish(...numbered(3));
    await came(heard, 'e2');
    const loss = 'lost: the stream has come back without events that it had';
    expect(heard.told.filter((one) => one !== 'a')).toEqual(['forgotten', loss, ...numbered(3)]);
  });
});
