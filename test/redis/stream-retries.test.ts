import { FakeClock } from 'nestjs-cache-guard/testing';
import { afterEach, describe, expect, inject, it } from 'vitest';
import { until } from '../support/redis-server.js';
import { DONE, numbered, StreamBench } from './support/stream.js';

const benches: StreamBench[] = [];
afterEach(async () => {
  for (const one of benches.splice(0)) await one.close();
});

/** What a process left behind that has tried it all three times, and tries no more. */
async function leftBehind(...ids: readonly string[]): Promise<StreamBench> {
  const b = StreamBench.on(inject('redisUrl'));
  benches.push(b);
  await b.makeGroup();
  await b.publish(...ids);
  await b.readAndDie(ids.length);
  const claim = b.raw.pipeline();
  for (const [id] of await b.raw.xrange(b.stream, '-', '+')) {
    claim.xclaim(b.stream, b.group, 'dead', 0, id, 'IDLE', 60_000, 'RETRYCOUNT', 3, 'JUSTID');
  }
  await claim.exec();
  return b;
}

// Its clock stands still: what happens, happens in one look at what is pending, and waits for no other.
const still = () => ({ clock: new FakeClock(), claimAfterMs: 30_000, retryAfterMs: 1_000, batch: 256 });

describe('events that came back several times', () => {
  it('are tried in bulk: what works is done before any that fails is put aside, however many are before it', async () => {
    const b = await leftBehind(...numbered(5_000, 'bad'), 'good');
    const { heard } = await b.follow(still(), (other) => {
      other.answer = (id) => (id === 'good' ? DONE : { kind: 'retry', reason: 'it fails' });
    });
    await until('the good one came', async () => heard.ids.includes('good'));
    await until('it alone is acknowledged', async () => (await b.pending()) === 5_000);
    expect(heard.dead).toEqual([]);
    expect(heard.deliveries).toHaveLength(5_001);
    expect(heard.lags).toHaveLength(1);
  });

  it('go on as soon as there is room', async () => {
    const b = await leftBehind(...numbered(5_000));
    let go = () => {};
    const gate = new Promise<void>((resolve) => (go = resolve));
    const { heard } = await b.follow(still(), (other) => (other.answer = () => gate.then(() => DONE)));
    b.finally(() => go());
    await until('there is no more room', async () => heard.deliveries.length >= 4_096);
    go();
    await until('nothing is pending', async () => (await b.pending()) === 0);
    expect([heard.deliveries.length, heard.lags.length]).toEqual([5_000, 1]);
  });

  it('and hang hold up no other', async () => {
    const b = await leftBehind(...numbered(300, 'hangs'), ...numbered(1_000, 'good'));
    let go = () => {};
    const gate = new Promise<void>((resolve) => (go = resolve));
    const { heard } = await b.follow(still(), (other) => {
      other.answer = (id) => (id.startsWith('good') ? DONE : gate.then(() => DONE));
    });
    b.finally(() => go());
    await until('only they are left', async () => (await b.pending()) === 300);
    await b.publish('new');
    await until('what is new comes', async () => heard.ids.includes('new'));
    expect(heard.lags).toHaveLength(1);
    go();
    await until('nothing is pending', async () => (await b.pending()) === 0);
  });

  it('are taken no more once the source is being closed', async () => {
    const b = await leftBehind(...numbered(2_000, 'bad'));
    let close = () => {};
    const closing = new Promise<void>((resolve) => (close = resolve));
    const { heard, source } = await b.follow(still(), (other) => {
      other.answer = (_id, tries) => (close(), { kind: 'retry', reason: `failed ${tries}` });
    });
    await closing;
    await source.close();
    const taken = heard.deliveries.length;
    expect(taken).toBeLessThan(2_000);
    expect(await b.pending()).toBe(2_000);
  });
});
