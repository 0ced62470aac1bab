import { Logger } from '@nestjs/common';
import { CacheGuardStoreError, type CacheGuardEvent } from 'nestjs-cache-guard';
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
const invalidation = { type: 'invalidation', domain, scope: 'key', mode: 'remove', count: 1 } as const;
const uncacheable = { type: 'uncacheable', domain, key, detail: 'balances' } as const;
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
    logger.log({ ...invalidation, outcome: 'failed' });
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
      logger.log({ ...uncacheable, origin, reason: 'unencodable' });
      logger.log({ ...uncacheable, origin, reason: 'inner-critical' });
      logger.log({ ...uncacheable, origin, reason: 'asked' });
    }
    expect(warnings()).toHaveLength(4);
    expect(warnings()[0]).toMatch(/Offers\.get.*owner: an instance of User.*revive.*plain/);
    expect(warnings()[1]).toMatch(/Offers\.get.*critical domain \(balances\)/);
  });

  it('remembers a bounded number of methods', () => {
    for (let id = 0; id < 1_500; id++) logger.log({ ...uncacheable, origin: `made up ${id}`, reason: 'too-large' });
    expect(warnings()).toHaveLength(1_000);
  });

  it('logs overload and damaged bytes, and nothing of what is well', () => {
    logger.log(corrupt);
    logger.log({ type: 'overload', domain, key, bound: 'bulkhead' });
    logger.log({ ...invalidation, outcome: 'applied' });
    logger.log({ type: 'coalesced', domain, key });
    expect(warnings()).toEqual([
      "Domain 'offers': damaged or foreign bytes were read as a miss.",
      "Domain 'offers': too many loads, the bulkhead bound refuses more.",
    ]);
  });

  it('shows keys at debug level only', () => {
    const origin = 'Offers.get';
    logger.log(corrupt);
    logger.log({ type: 'overload', domain, key, bound: 'keys-in-flight' });
    logger.log({ ...unencodable, origin, path: '', detail: 'a function' });
    logger.log({ ...uncacheable, origin, reason: 'inner-private' });
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
