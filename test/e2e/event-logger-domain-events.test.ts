import { Logger } from '@nestjs/common';
import {
  CacheGuardError,
  CacheGuardStoreError,
  type CacheGuardEvent,
  type ReconciliationEvent,
  type RefreshSkippedEvent,
  type WarmingEvent,
} from 'nestjs-cache-guard';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { CacheGuardEventLogger } from '../../lib/nest/event-logger.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { LogBook } from './support/app.js';

const domain = 'offers';
const source = 'stream';
/** Stands for what is in events and rows. */
const DATA = 'customer 4711';
/** What is told of an event that failed, besides its reason. */
const failed = {
  eventType: 'offer.changed',
  eventId: 'e1',
  rule: "events.rules[0] of domain 'offers'",
  attempt: 2,
  error: 'TypeError',
};

const reconciliation = (given: Partial<ReconciliationEvent>): ReconciliationEvent => ({
  type: 'reconciliation',
  domain,
  state: 'done',
  checked: 100,
  drifted: 0,
  repaired: 0,
  unchecked: 0,
  oldestDriftMs: 0,
  error: undefined,
  ...given,
});
const warming = (given: Partial<WarmingEvent>): WarmingEvent => ({
  type: 'warming',
  domain,
  name: 'boot',
  state: 'done',
  done: 8,
  failed: 0,
  skipped: 2,
  total: 10,
  error: undefined,
  ...given,
});

describe('the event logger, of domain events', () => {
  let clock: FakeClock;
  let logs: LogBook;
  let log: (...events: CacheGuardEvent[]) => void;

  beforeEach(() => {
    clock = new FakeClock();
    logs = new LogBook();
    Logger.overrideLogger(logs);
    const logger = new CacheGuardEventLogger(clock);
    log = (...events) => events.forEach((event) => logger.log(event));
    onTestFinished(() => Logger.overrideLogger(false));
  });

  const warnings = () => logs.of('warn');

  it('lets the id of an event neither end a line nor fill it', () => {
    const eventId = `1\n[Nest] ERROR ${'x'.repeat(1_000)}`;
    log({ type: 'dead-letter', source, reason: DATA, failed: { eventType: 'a\u001b[31mb', eventId } });
    const [line = '', ...others] = warnings();
    expect(others).toEqual([]);
    expect(line.length).toBeLessThan(200);
    expect(line).not.toMatch(/\p{Cc}/u);
  });

  it('says in full that processes of a group have other rules', () => {
    const error = new CacheGuardError('CG_RULES_DIFFER', 'who shares a group needs the same rules');
    log({ type: 'event-source-error', source, error }, { type: 'event-source-error', source, error });
    expect(warnings()).toEqual(['who shares a group needs the same rules']);
  });

  it('warns of what is put aside, lost or out of reach: the first at once, then their number', () => {
    const all: CacheGuardEvent[] = [
      { type: 'dead-letter', source, reason: DATA, failed: { ...failed, attempt: 5 }, domains: ['offers', 'rates'] },
      { type: 'event-gap', source, reason: DATA },
      { type: 'event-source-error', source, error: Object.assign(new Error(DATA), { code: 'ECONNREFUSED' }) },
      { type: 'domain-events', source, outcome: 'retry', count: 3, reason: DATA, failed },
      { type: 'domain-events', source, outcome: 'poison', count: 1, reason: DATA, failed: { attempt: 1 } },
    ];
    log(...all, ...all);
    expect(warnings()).toEqual([
      "Event source 'stream': an event was put aside after its last try ('offer.changed' 'e1', rule events.rules[0] of domain " +
        "'offers', attempt 5, TypeError). Invalidated as a whole for it: 'offers', 'rates'.",
      "Event source 'stream': events were lost on their way; the domains that follow it are invalidated as a whole.",
      "Event source 'stream' could not be reached or read (Error ECONNREFUSED).",
      "Event source 'stream': 3 events could not be dealt with ('offer.changed' 'e1', rule events.rules[0] of domain 'offers', " +
        'attempt 2, TypeError).',
      "Event source 'stream': an event cannot be dealt with at all (type and id unknown, attempt 1).",
    ]);
    clock.advance(30_000);
    expect(warnings().slice(5)).toEqual(
      ['dead-letter', 'event-gap', 'event-source-error', 'event to be tried again', 'poison event'].map(
        (kind) => `1 more of kind '${kind}' in the last 30 s.`,
      ),
    );
    expect(logs.of('debug').filter((text) => text.includes(DATA))).toHaveLength(10);
  });

  it('tells whether a source may be relied on', () => {
    const state = { type: 'event-source-state', source, domains: ['offers', 'cards'] } as const;
    log({ ...state, state: 'live' }, { ...state, state: 'lagging' }, { ...state, state: 'silent' });
    log({ ...state, state: 'lagging' });
    expect(logs.of('log')).toEqual(["Event source 'stream' is live: 'offers', 'cards' may rely on it."]);
    expect(warnings()).toEqual([
      "Event source 'stream' is lagging: the fallback of 'offers', 'cards' is in force.",
      "Event source 'stream' is silent: the fallback of 'offers', 'cards' is in force.",
    ]);
    clock.advance(30_000);
    expect(warnings()[2]).toBe("1 more of kind 'lagging event source 'stream'' in the last 30 s.");
  });

  it('says nothing of lag, and of events that were dealt with or come again once the store is back', () => {
    log({ type: 'event-lag', source, lagMs: 60_000 });
    for (const outcome of ['applied', 'duplicate', 'unmatched', 'later'] as const)
      log({ type: 'domain-events', source, outcome, count: 1, reason: undefined });
    log(reconciliation({ state: 'running', drifted: 5 }), warming({ state: 'running', failed: 5 }));
    expect(logs.lines).toEqual([]);
  });

  it('says once per domain why it refreshes nothing, and warns of refreshes that failed', () => {
    const skipped = (reason: RefreshSkippedEvent['reason']) =>
      log({ type: 'refresh-skipped', domain, key: `offers:::s.${DATA}`, reason });
    for (const reason of ['no-method', 'no-arguments', 'not-recordable', 'request-scoped'] as const) {
      skipped(reason);
      skipped(reason);
    }
    expect(warnings()).toHaveLength(4);
    expect(warnings()[0]).toBe(
      "Domain 'offers': what events ask to refresh is invalidated only, because no method or loader is known for its keys.",
    );
    for (const reason of ['failed', 'failed', 'queue-full', 'fresh', 'closed'] as const) skipped(reason);
    expect(warnings().slice(4)).toEqual([
      "Domain 'offers': a refresh after an event has failed.",
      "Domain 'offers': too many refreshes wait, no more are taken.",
    ]);
  });

  it('warns of drift and of a reconciliation that failed', () => {
    log(reconciliation({}), reconciliation({ state: 'stopped' }));
    expect(logs.lines.map(({ level }) => level)).toEqual(['debug', 'debug']);
    log(reconciliation({ drifted: 3, repaired: 2, unchecked: 1, oldestDriftMs: 12_340 }));
    log(reconciliation({ state: 'failed', error: new CacheGuardStoreError('CG_STORE_UNAVAILABLE', 'no answer') }));
    expect(warnings()).toEqual([
      "Domain 'offers': 3 of 100 entries had drifted from the source, 2 are repaired; the oldest was 12.3 s old; 1 could not be compared.",
      "Domain 'offers': reconciliation has failed (no answer); so far 0 of 100 entries had drifted from the source, 0 are repaired.",
    ]);
  });

  it('tells how a warming ended, and warns of what failed', () => {
    log(warming({}), warming({ done: 0 }), warming({ state: 'stopped' }));
    expect(logs.lines).toEqual([
      { level: 'log', text: "Warming 'boot' of domain 'offers' is done: 8 loaded, 2 were fresh, 0 failed." },
      { level: 'debug', text: "Warming 'boot' of domain 'offers' is done: 0 loaded, 2 were fresh, 0 failed." },
      { level: 'debug', text: "Warming 'boot' of domain 'offers' was stopped: 8 loaded, 2 were fresh, 0 failed." },
    ]);
    log(warming({ failed: 1, error: new Error(DATA) }), warming({ state: 'failed', error: new TypeError(DATA) }));
    expect(warnings()).toEqual([
      "Warming 'boot' of domain 'offers' is done: 8 loaded, 2 were fresh, 1 failed.",
      "Warming 'boot' of domain 'offers' has failed (TypeError); 8 loaded, 2 were fresh, 0 failed.",
    ]);
  });

  it('shows data at debug level only', () => {
    const error = new Error(DATA);
    log({ type: 'dead-letter', source, reason: DATA }, { type: 'event-gap', source, reason: DATA });
    log({ type: 'event-source-error', source, error }, { type: 'event-source-error', source, error: DATA });
    log({ type: 'refresh-skipped', domain, key: DATA, reason: 'failed' });
    log(reconciliation({ state: 'failed', error }), warming({ state: 'failed', error }));
    const shown = logs.lines.filter(({ text }) => text.includes(DATA));
    expect(shown.map(({ level }) => level)).toEqual(Array.from({ length: 7 }, () => 'debug'));
    expect(warnings()).toHaveLength(6);
  });
});
