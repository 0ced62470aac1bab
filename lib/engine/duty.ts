import { entryKey } from '../core/keys.js';
import type { EngineParts } from './engine-parts.js';

const LEASE_MS = 10_000;

/** Work that one process of the fleet does at a time, under a lease like that of a load. */
export class Duties {
  private readonly running = new Set<AbortController>();

  constructor(private readonly parts: Pick<EngineParts, 'store' | 'ids' | 'keeper'>) {}

  /**
   * Runs `work` if no other process has the duty; its signal is aborted when the duty is lost or `close` is called.
   *
   * @returns `undefined`: another process has it
   * @throws what `work` throws; CacheGuardStoreError when the store does not answer
   */
  async run<T>(name: string, work: (signal: AbortSignal) => Promise<T>): Promise<{ readonly result: T } | undefined> {
    const { store, ids, keeper } = this.parts;
    // No domain has such a name.
    const key = entryKey({ domain: '~duty', segment: `s.${name}` });
    const token = ids.token();
    const reply = await store.acquire({
      key,
      token,
      generations: [],
      generationTtlMs: 0,
      seenId: undefined,
      leaseMs: LEASE_MS,
      mode: 'exclusive',
      honourBackoff: false,
    });
    if (reply.kind !== 'granted') return undefined;
    const ended = new AbortController();
    this.running.add(ended);
    const lost = () => ended.abort(new Error(`the duty '${name}' was lost`));
    keeper.keep({ key, token, leaseMs: LEASE_MS, lost, unanswered: () => {} });
    try {
      return { result: await work(ended.signal) };
    } finally {
      this.running.delete(ended);
      keeper.forget(token);
      await store.release({ key, token, backoff: undefined }).catch(() => {});
    }
  }

  close(): void {
    for (const ended of this.running) ended.abort(new Error('the application is shutting down'));
  }
}
