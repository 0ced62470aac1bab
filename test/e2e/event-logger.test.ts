import { Logger } from '@nestjs/common';
import {
  CacheGuardStoreError,
  type CacheGuardEvent,
  type InvalidationEvent,
  type UncacheableEvent,
} from 'nestjs-cache-guard';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { CacheGuardEventLogger } from '../../lib/nest/event-logger.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { LogBook } from './support/app.js';

const domain = 'offers';
const key = 'offers:::s.customer-4711';
const storeError: CacheGuardEvent = {
  type: 'store-error',
  domain,
  operation: 'read',
  error: new CacheGuardStoreError('CG_STORE_UNAVAILABLE', 'no answer within 1s', { key }),
};
const corrupt: CacheGuardEvent = { type: 'corrupt', domain, key, detail: 'no header' };
const invalidation = (
  outcome: InvalidationEvent['outcome'],
  count = 1,
  scope: InvalidationEvent['scope'] = 'key',
): InvalidationEvent => ({ type: 'invalidation', domain, scope, mode: 'remove', outcome, count });
const uncacheable = (origin: string, reason: UncacheableEvent['reason']): UncacheableEvent => ({
  type: 'uncacheable',
  domain,
  key,
  origin,
  reason,
  detail: 'balances',
});
const unencodable = { type: 'unencodable', domain, key, code: 'CG_UNENCODABLE' } as const;

describe('the event logger', () => {
  let clock: FakeClock;
  let logs: LogBook;
  let logger: CacheGuardEventLogger;

  beforeEach(() => {
    clock = new FakeClock();
    logs = new LogBook();
    Logger.overrideLogger(logs);
    logger = new CacheGuardEventLogger(clock);
    onTestFinished(() => Logger.overrideLogger(false));
  });

  const warnings = () => logs.of('warn');

  it('logs the first of a kind at once, then their number at most every 30 s', () => {
    for (let count = 0; count < 5; count++) logger.log(storeError);
    expect(warnings()).toEqual([
      "Domain 'offers': the store failed to read (no answer within 1s); requests go on without it.",
    ]);
    logger.log(invalidation('pending'));
    expect(warnings()).toHaveLength(2);

    clock.advance(29_999);
    expect(warnings()).toHaveLength(2);
    clock.advance(1);
    expect(warnings()[2]).toBe("4 more of kind 'store-error' in the last 30 s.");
    logger.log(storeError);
    clock.advance(30_000);
    expect(warnings()[3]).toBe("1 more of kind 'store-error' in the last 30 s.");

    clock.advance(30_000);
    expect(clock.pending).toBe(0);
    logger.log(storeError);
    expect(warnings()[4]).toMatch(/^Domain 'offers'/);
  });

  it('logs what is wrong with a method once', () => {
    for (const origin of ['Offers.get', 'Offers.list', 'Offers.get']) {
      logger.log({ ...unencodable, origin, path: 'owner', detail: 'an instance of User' });
      logger.log(uncacheable(origin, 'unencodable'));
      logger.log(uncacheable(origin, 'inner-critical'));
      logger.log(uncacheable(origin, 'asked'));
    }
    expect(warnings()).toHaveLength(4);
    expect(warnings()[0]).toMatch(/Offers\.get.*owner: an instance of User.*revive.*plain/);
    expect(warnings()[1]).toMatch(/Offers\.get.*critical domain \(balances\)/);
  });

  it('remembers a bounded number of methods', () => {
    for (let id = 0; id < 1_500; id++) logger.log(uncacheable(`made up ${id}`, 'too-large'));
    expect(warnings()).toHaveLength(1_000);
  });

  it('logs overload and damaged bytes, and nothing of what is well', () => {
    logger.log(corrupt);
    logger.log({ type: 'overload', domain, key, bound: 'bulkhead' });
    logger.log(invalidation('applied'));
    logger.log({ type: 'coalesced', domain, key });
    expect(warnings()).toEqual([
      "Domain 'offers': damaged or foreign bytes were read as a miss.",
      "Domain 'offers': too many loads, the bulkhead bound refuses more.",
    ]);
  });

  it('says whose function threw, and not that it gave nothing', () => {
    for (const error of [undefined, 'TypeError']) {
      logger.log({ type: 'unpartitioned', domain, error });
      logger.log({ type: 'no-principal', domain, error });
    }
    expect(warnings()).toEqual([
      "Domain 'offers': the partition function threw (TypeError); the call was not cached.",
      "Domain 'offers': the principal function threw (TypeError); the call was not cached.",
    ]);
  });

  it('says what became of invalidations that could not be carried out', () => {
    for (const count of [1, 3]) logger.log(invalidation('pending', count));
    logger.log(invalidation('carried-out', 4));
    logger.log(invalidation('coarsened', 10_000));
    for (let i = 0; i < 2; i++) logger.log({ ...invalidation('coarsened', 10_001), rule: 'events.rules[3]' });
    logger.log(invalidation('failed'));
    logger.log(invalidation('failed', 2, 'tag'));
    expect(warnings()).toEqual([
      "Domain 'offers': an invalidation (key, remove) could not reach the store: kept in this process, and carried out first when " +
        'the store is back.',
      "Domain 'offers': 10000 invalidations had been kept, too many: all of the domain is invalidated in their place.",
      "Domain 'offers': event rule events.rules[3] gave 10001 keys or tags for one event, too many: all of the domain is invalidated " +
        'in their place. Give the loads a tag, and let the rule name that, or all: true.',
      "Domain 'offers': an invalidation (key, remove) still kept for the store: lost with this process; old values may be served " +
        'until their TTL.',
      "Domain 'offers': 2 invalidations (tag, remove) still kept for the store: lost with this process; old values may be served " +
        'until their TTL.',
    ]);
    expect(logs.of('debug')).toEqual([
      "Domain 'offers': 4 invalidations (key, remove) that had been kept: carried out.",
    ]);
  });

  it('logs every change of the store and how long it was away', () => {
    logger.log({ type: 'store-state', state: 'away', awayMs: 0 });
    logger.log({ type: 'store-state', state: 'settling', awayMs: 12_340 });
    logger.log({ type: 'store-state', state: 'up', awayMs: 13_000 });
    logger.log({ type: 'store-state', state: 'away', awayMs: 0 });
    expect(warnings()).toEqual(Array(2).fill(expect.stringMatching(/^The store does not answer/)));
    expect(logs.of('log')).toEqual([
      expect.stringMatching(/^The store answers again after 12\.3 s: .* not fresh until all processes/),
      'The store is in full use again after 13.0 s.',
    ]);
  });

  it('logs trust at debug level, and the breakers of loaders', () => {
    for (const trusted of [true, false]) logger.log({ type: 'l1-trust', trusted });
    expect([logs.of('debug').length, logs.lines.length]).toEqual([2, 2]);
    for (const state of ['open', 'closed'] as const) logger.log({ type: 'loader-breaker', domain, state });
    expect(warnings()).toEqual(["Domain 'offers': its loader fails too often and is not called for a while."]);
    expect(logs.of('log')).toEqual(["Domain 'offers': its loader is called again."]);
  });

  it('logs advice once per code, and evictions at most every 30 s', () => {
    for (const node of ['a', 'b', 'a']) {
      logger.log({ type: 'advice', code: 'plaintext', text: `plaintext ${node}` });
      logger.log({ type: 'advice', code: 'little-headroom', text: `full ${node}` });
      logger.log({ type: 'advice', code: 'no-memory-limit', text: `unlimited ${node}` });
      logger.log({ type: 'advice', code: 'evicting', text: `evicting ${node}` });
    }
    const first = ['plaintext a', 'full a', 'evicting a'];
    expect(warnings()).toEqual(first);
    clock.advance(60_000);
    expect(warnings()).toEqual([...first, "2 more of kind 'evicting' in the last 30 s."]);
    logger.log({ type: 'advice', code: 'evicting', text: 'evicting c' });
    expect(warnings().at(-1)).toBe('evicting c');
    expect(logs.of('log')).toEqual(['unlimited a']);
    expect(logs.of('debug')).toContain('plaintext b');
  });

  it('shows keys at debug level only', () => {
    const origin = 'Offers.get';
    logger.log(corrupt);
    logger.log({ type: 'overload', domain, key, bound: 'keys-in-flight' });
    logger.log({ ...unencodable, origin, path: '', detail: 'a function' });
    logger.log(uncacheable(origin, 'inner-private'));
    logger.log(storeError);
    const shown = logs.lines.filter(({ text }) => text.includes('4711'));
    expect(shown.length).toBeGreaterThan(0);
    expect(shown.every(({ level }) => level === 'debug')).toBe(true);
  });

  it('logs what it held back when it closes, and leaves no timer', () => {
    for (let count = 0; count < 3; count++) logger.log(storeError);
    logger.close();
    expect(warnings()[1]).toBe("2 more of kind 'store-error' in the last 30 s.");
    expect(clock.pending).toBe(0);
    logger.log(corrupt);
    expect(clock.pending).toBe(0);
  });
});
