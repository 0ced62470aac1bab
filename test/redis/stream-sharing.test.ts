import { Redis } from 'ioredis';
import { afterEach, describe, expect, inject, it } from 'vitest';
import { StreamPublisher } from '../../lib/adapters/redis/stream/stream-publisher.js';
import { systemClock as clock } from '../../lib/adapters/system.js';
import { startRedis, until } from '../support/redis-server.js';
import { DONE, eventOf, numbered, StreamBench, type Heard } from './support/stream.js';

const benches: StreamBench[] = [];
afterEach(async () => {
  for (const one of benches.splice(0)) await one.close();
});

function bench(url = inject('redisUrl')): StreamBench {
  const made = StreamBench.on(url);
  benches.push(made);
  return made;
}

const came = (heard: Heard, ...ids: readonly string[]) =>
  until(`${ids.join()} came`, async () => ids.every((id) => heard.ids.includes(id)));
const settled = (b: StreamBench) => until('nothing is pending', async () => (await b.pending()) === 0);

describe('what a process that has died left behind', () => {
  it('is taken over after a while, in bounded batches, by one of the others', async () => {
    const b = bench();
    await b.makeGroup();
    await b.publish(...numbered(600));
    await b.readAndDie(600);
    const [one, other] = await Promise.all([b.follow({ claimAfterMs: 300 }), b.follow({ claimAfterMs: 300 })]);
    await b.publish('new');
    await until('the new one came', async () => [...one.heard.ids, ...other.heard.ids].includes('new'));
    await settled(b);
    const all = [...one.heard.ids, ...other.heard.ids];
    expect(all.toSorted()).toEqual([...numbered(600), 'new'].toSorted());
    expect(one.heard.deliveries.concat(other.heard.deliveries).filter(({ tries }) => tries === 1)).toHaveLength(600);
  });

  it('is left alone as long as it may be at work on it', async () => {
    const b = bench();
    await b.makeGroup();
    await b.publish('a');
    await b.readAndDie(1);
    const { heard } = await b.follow({ claimAfterMs: 60_000 });
    await until('it was looked at', async () => heard.lags.length >= 3);
    expect(heard.ids).toEqual([]);
    expect(heard.lags.at(-1)).toBeGreaterThan(0);
  });

  it('is nothing: then it leaves the group', async () => {
    const b = bench();
    await b.makeGroup();
    await b.raw.xgroup('CREATECONSUMER', b.stream, b.group, 'gone');
    await b.publish('a');
    await b.readAndDie(1, 'busy');
    await b.follow({ forgetAfterMs: 400 });
    await until('it is forgotten', async () => !(await b.consumers()).includes('gone'));
    expect(await b.consumers()).toContain('busy');
  });

  it('in good order: nothing, not even its name', async () => {
    const b = bench();
    const { heard, source, consumer } = await b.follow();
    await b.publish('a');
    await came(heard, 'a');
    await settled(b);
    expect(await b.consumers()).toEqual([consumer]);
    await source.close();
    expect(await b.consumers()).toEqual([]);
  });
});

describe('what takes long', () => {
  it('in one process does not keep another from what comes, nor is it done twice there', async () => {
    const b = bench();
    let go = () => {};
    const gate = new Promise<void>((resolve) => (go = resolve));
    const { heard } = await b.follow({ batch: 1, claimAfterMs: 60_000 }, (other) => {
      other.answer = (id) => (id.startsWith('slow') ? gate.then(() => DONE) : DONE);
    });
    await b.publish(...numbered(12, 'slow'), 'quick');
    await came(heard, 'quick');
    await until('they seem forgotten', async () => heard.lags.at(-1)! > 2_000);
    go();
    await settled(b);
    expect(heard.ids).toHaveLength(13);
  });

  it('when the source is closed is given back, uncounted, and its late end changes nothing', async () => {
    const b = bench();
    let go = () => {};
    const gate = new Promise<void>((resolve) => (go = resolve));
    const { heard, source } = await b.follow({ graceMs: 100 }, (other) => (other.answer = () => gate.then(() => DONE)));
    await b.publish('a');
    await came(heard, 'a');
    await source.close();
    const next = await b.follow({ graceMs: 100 }, (other) => (other.answer = () => new Promise(() => {})));
    await came(next.heard, 'a');
    expect(next.heard.deliveries).toMatchObject([{ tries: 0 }]);
    go();
    const told = heard.lags.length;
    await until('the other one has looked', async () => next.heard.lags.length >= 3);
    expect(await b.pending()).toBe(1);
    expect([heard.lags.length, heard.troubles.length]).toEqual([told, 0]);
  });
});

describe('a store that is away', () => {
  it('stops the reading, and starts it again', async () => {
    const b = bench();
    let away = true;
    const { heard } = await b.follow({ batch: 10, retryAfterMs: 200 }, (other) => {
      other.answer = () => (away ? { kind: 'later', reason: 'the store is away' } : DONE);
    });
    await b.publish(...numbered(1_000));
    await until('it was tried again', async () => heard.lags.length > 4);
    expect(new Set(heard.ids).size).toBeLessThan(300);
    away = false;
    await settled(b);
    await until('all came', async () => new Set(heard.ids).size === 1_000);
    expect(heard.dead).toEqual([]);
    expect(heard.deliveries.every(({ tries }) => tries === 0)).toBe(true);
  });
});

describe('commands', () => {
  it('are for many events at once', async () => {
    const server = await startRedis();
    const b = bench(server.url);
    b.finally(() => server.stop());
    await b.makeGroup();
    await b.publish(...numbered(5_000));
    await server.command('CONFIG', 'RESETSTAT');
    const { heard } = await b.follow();
    await until('all came', async () => heard.ids.length === 5_000);
    await settled(b);
    const stats = await server.command('INFO', 'commandstats');
    const calls = (name: string) => Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
    expect(calls('xack')).toBeLessThanOrEqual(25);
    expect(calls('xreadgroup')).toBeLessThanOrEqual(25);
  });
});

describe('StreamPublisher', () => {
  it('bounds a stream, keeps the order, and refuses what is no event before anything is written', async () => {
    const b = bench();
    const publisher = new StreamPublisher({ connect: b.connect, clock, commandTimeoutMs: 2_000 });
    b.finally(() => publisher.close());
    await publisher.append(b.stream, numbered(1_000).map(eventOf), { maxLength: 100 });
    expect(await b.raw.xlen(b.stream)).toBeLessThanOrEqual(200);
    const length = await b.raw.xlen(b.stream);
    const cyclic: { self?: unknown } = {};
    cyclic.self = cyclic;
    for (const bad of [
      { ...eventOf('x'), id: '' },
      { ...eventOf('x'), data: 1n },
      { ...eventOf('x'), data: cyclic },
    ]) {
      await expect(publisher.append(b.stream, [eventOf('good'), bad])).rejects.toMatchObject({
        code: 'CG_UNENCODABLE',
      });
    }
    expect(await b.raw.xlen(b.stream)).toBe(length);
    await publisher.append(b.stream, []);
    const at = new Date('2026-01-02T03:04:05Z');
    await publisher.append(b.stream, [{ ...eventOf('last'), time: at, extension: 'kept' } as never]);
    const [[, [field, text]]] = (await b.raw.xrevrange(b.stream, '+', '-', 'COUNT', 1)) as [[string, string[]]];
    expect([field, JSON.parse(text!)]).toEqual([
      'event',
      { specversion: '1.0', ...eventOf('last'), time: at.toISOString(), extension: 'kept' },
    ]);
  });

  it('fails in time when there is no server, and works again when there is', async () => {
    const server = await startRedis();
    const b = bench(server.url);
    b.finally(() => server.stop());
    const publisher = new StreamPublisher({ connect: b.connect, clock, commandTimeoutMs: 300 });
    await publisher.append('s', [eventOf('a')]);
    await server.pause();
    await expect(publisher.append('s', [eventOf('b')])).rejects.toMatchObject({ code: 'CG_STORE_UNAVAILABLE' });
    await server.kill();
    await expect(publisher.append('s', [eventOf('c')])).rejects.toMatchObject({ code: 'CG_STORE_UNAVAILABLE' });
    await server.restart({ from: 'empty' });
    await publisher.append('s', [eventOf('d')]);
    const names = (await b.raw.xrange('s', '-', '+')).map(([, [, text]]) => (JSON.parse(text!) as { id: string }).id);
    expect(names).toEqual(['d']);
    publisher.close();
    await expect(publisher.append('s', [eventOf('e')])).rejects.toMatchObject({ code: 'CG_STORE_UNAVAILABLE' });
  });

  it('honours the prefix of a connection whose user may write nowhere else', async () => {
    const rules = ['~app:*', '+@all'];
    const server = await startRedis({ users: [{ name: 'app', password: 'secret', rules }] });
    const url = server.urlFor('app');
    const client = new Redis(url, { keyPrefix: 'app:', lazyConnect: true });
    const b = new StreamBench({ client }, server.url);
    benches.push(b);
    b.finally(() => server.stop());
    b.finally(() => client.disconnect());
    const { heard } = await b.follow({}, (other) => {
      other.answer = (id) => (id === 'bad' ? { kind: 'poison', reason: 'bad' } : DONE);
    });
    await b.publish('a', 'bad');
    await came(heard, 'a');
    await until('it was put aside', async () => heard.dead.length === 1);
    expect((await b.raw.keys('*')).toSorted()).toEqual([`app:${b.stream}`, `app:{app:${b.stream}}:dead`].toSorted());
  });
});
