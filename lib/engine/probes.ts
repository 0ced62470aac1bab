import type { Entry } from '../core/entry.js';
import type { EntryKey } from '../core/keys.js';
import type { GuardedCall } from './call.js';
import type { EngineParts } from './engine-parts.js';

type Version = bigint | string | undefined;

/** Asks the source for current versions. Readers who come before a probe is sent share it; later ones send their own. */
export class Probes {
  private readonly unsent = new Map<EntryKey, Promise<Version>>();

  constructor(private readonly parts: Pick<EngineParts, 'clock'>) {}

  /** Whether the source says that the entry is current; a probe that fails or hangs confirms nothing. */
  async confirms(call: GuardedCall, entry: Entry): Promise<boolean> {
    let cancel = () => {};
    const patience = new Promise<undefined>((resolve) => {
      cancel = this.parts.clock.schedule(call.policy.loadTimeoutMs, () => resolve(undefined));
    });
    try {
      const version = await Promise.race([this.send(call), patience]);
      return version !== undefined && version === (typeof version === 'bigint' ? entry.version : entry.etag);
    } catch {
      return false;
    } finally {
      cancel();
    }
  }

  private send(call: GuardedCall): Promise<Version> {
    let probe = this.unsent.get(call.key);
    if (!probe) {
      probe = Promise.resolve().then(() => {
        this.unsent.delete(call.key);
        return call.policy.probe!(call.keyInput);
      });
      this.unsent.set(call.key, probe);
    }
    return probe;
  }
}
