import { describe, expect, it } from 'vitest';
import { CacheGuardStoreError } from '../../lib/core/errors.js';
import type { Signal, Store } from '../../lib/core/store.js';
import { EmbeddedFallback, type RefusableStore } from '../../lib/nest/embedded-fallback.js';

const REFUSAL = new CacheGuardStoreError(
  'CG_UNSUPPORTED_REDIS',
  'Redis at cache:6379 has version 6.2.14, 7.0 or newer is needed.',
);
const GAP: Signal = { kind: 'gap' };
const LOST: Signal = { kind: 'lost' };

type Call = Exclude<keyof Store, 'remote' | 'ledger' | 'records' | 'board' | 'open' | 'close' | 'onSignal'>;
const CALLS = Object.keys({
  now: true,
  read: true,
  acquire: true,
  renew: true,
  lease: true,
  commit: true,
  release: true,
  invalidate: true,
  advance: true,
  sweep: true,
  walk: true,
  beat: true,
} satisfies Record<Call, true>) as Call[];

/** A store that says who it is. */
class Probe {
  readonly asked: unknown[] = [];
  closed = 0;
  openings = 0;
  whileOpening: () => void = () => {};
  reason: Error | undefined;
  private readonly listeners: ((signal: Signal) => void)[] = [];

  constructor(readonly remote: boolean) {
    for (const call of CALLS) {
      Object.assign(this, {
        [call]: (...args: unknown[]) => {
          this.asked.push([call, ...args]);
          return `${call} of ${remote ? 'remote' : 'embedded'}`;
        },
      });
    }
  }

  async open(): Promise<void> {
    this.openings++;
    this.whileOpening();
  }

  refusal(): Error | undefined {
    return this.reason;
  }

  onSignal(listener: (signal: Signal) => void): void {
    this.listeners.push(listener);
  }

  emit(signal: Signal): void {
    for (const listener of this.listeners) listener(signal);
  }

  async close(): Promise<void> {
    this.closed++;
  }
}

function make({ reason, refuse = false }: { reason?: Error; refuse?: boolean } = {}) {
  const remote = new Probe(true);
  remote.reason = reason;
  const made: Probe[] = [];
  const embedded = () => {
    made.push(new Probe(false));
    return made[0] as unknown as Store;
  };
  const store = new EmbeddedFallback({ remote: remote as unknown as RefusableStore, embedded, refuse });
  const signals: Signal[] = [];
  store.onSignal((signal) => signals.push(signal));
  return { store, remote, made, signals };
}

function expectAllFrom(store: EmbeddedFallback, probe: Probe, name: string): void {
  for (const call of CALLS) {
    const args = [`1 ${call}`, `2 ${call}`, `3 ${call}`];
    const answer = (store[call] as (...all: unknown[]) => unknown)(...args);
    expect(answer).toBe(`${call} of ${name}`);
    const [asked, ...given] = probe.asked.at(-1) as unknown[];
    expect(asked).toBe(call);
    expect(args.slice(0, given.length)).toEqual(given);
    expect(given).toHaveLength(store[call].length);
  }
}

describe('a remote store that is new enough, or away', () => {
  it('is what is used', async () => {
    const { store, remote, made, signals } = make();
    expectAllFrom(store, remote, 'remote');
    await store.open();
    await store.open();
    expect([remote.openings, made.length, store.remote]).toEqual([1, 0, true]);
    expectAllFrom(store, remote, 'remote');
    remote.emit(GAP);
    expect(signals).toEqual([GAP]);
    await store.close();
    remote.emit(GAP);
    expect([remote.closed, signals.length]).toEqual([1, 1]);
  });

  it('is heard in order, once it is decided', async () => {
    const { store, remote, signals } = make();
    remote.whileOpening = () => {
      remote.emit(LOST);
      remote.emit(GAP);
      expect(signals).toEqual([]);
    };
    await store.open();
    remote.emit(LOST);
    expect(signals).toEqual([LOST, GAP, LOST]);
  });
});

describe('a remote store that is too old', () => {
  it('gives way to the embedded one, with one word of advice', async () => {
    const { store, remote, made, signals } = make({ reason: REFUSAL });
    remote.whileOpening = () => {
      remote.emit(LOST);
      remote.emit({ kind: 'advice', code: 'unsupported-version', text: 'its own' });
    };
    await store.open();
    expect([remote.closed, made.length, made[0]!.openings, store.remote]).toEqual([1, 1, 1, false]);
    expectAllFrom(store, made[0]!, 'embedded');
    expect(remote.asked).toEqual([]);
    expect(signals).toEqual([{ kind: 'advice', code: 'unsupported-version', text: expect.stringContaining('6.2.14') }]);
    expect(signals[0]).toMatchObject({ text: expect.stringMatching(/7\.0.*this process.*Upgrade.*'refuse'/) });

    remote.emit(LOST);
    made[0]!.emit(GAP);
    expect(signals.slice(1)).toEqual([GAP]);
    await store.close();
    expect([remote.closed, made[0]!.closed]).toEqual([1, 1]);
  });

  it('fails the boot where that is asked for, and leaves no connection', async () => {
    const { store, remote, made, signals } = make({ reason: REFUSAL, refuse: true });
    remote.whileOpening = () => remote.emit(LOST);
    const error = await store.open().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      name: 'CacheGuardConfigError',
      code: 'CG_UNSUPPORTED_REDIS',
      field: 'unsupportedRedis',
      cause: REFUSAL,
      message: expect.stringMatching(/6\.2\.14.*7\.0.*unsupportedRedis.*upgrade.*'embedded'/s),
    });
    expect([remote.closed, made.length, signals.length]).toEqual([1, 0, 0]);
  });

  it('does not come back as the embedded one after it was closed while it opened', async () => {
    const { store, remote, made, signals } = make({ reason: REFUSAL });
    remote.whileOpening = () => void store.close();
    await store.open();
    expect([remote.closed, made.length, signals.length]).toEqual([1, 0, 0]);
  });
});
