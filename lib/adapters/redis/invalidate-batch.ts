import type { InvalidationMode } from '../../core/events.js';
import type { EntryKey } from '../../core/keys.js';
import type { KnownVersion } from '../../core/store.js';
import { versionBytes } from '../../core/version.js';
import type { Keyspace } from './keyspace.js';
import { Script } from './script.js';
import type { ScriptRunner } from './script-runner.js';
import type { Topology } from './topology.js';

const script = new Script('invalidate');

/** How long a removed entry's header stays, so that the next miss knows its cause. */
const TOMBSTONE_MS = 60_000;
/** What one script does: longer, and the server would keep readers waiting. */
const MOST_KEYS = 128;
/** Keys that are under way to the servers at once: of more, commands would wait for each other while their time runs. */
const MOST_UNDERWAY = 4 * MOST_KEYS;

interface Asked {
  readonly key: EntryKey;
  readonly mode: InvalidationMode;
  readonly known: KnownVersion | undefined;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Sends the invalidations of one turn of the event loop together, a bounded number at once; a cluster keeps each key in a slot of its
 * own.
 */
export class InvalidateBatcher {
  private readonly asked: Asked[] = [];
  private underway = 0;

  constructor(
    private readonly runner: ScriptRunner,
    private readonly topology: Pick<Topology, 'spread'>,
    private readonly keyspace: Keyspace,
  ) {}

  add(key: EntryKey, mode: InvalidationMode, known: KnownVersion | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.asked.push({ key, mode, known, resolve, reject }) === 1) setImmediate(() => this.send());
    });
  }

  private send(): void {
    const most = this.topology.spread ? 1 : MOST_KEYS;
    while (this.asked.length > 0 && this.underway < MOST_UNDERWAY) {
      const some = this.asked.splice(0, most);
      this.underway += some.length;
      this.run(some)
        .then(
          () => some.forEach(({ resolve }) => resolve()),
          (error: unknown) => some.forEach(({ reject }) => reject(error)),
        )
        .finally(() => {
          this.underway -= some.length;
          this.send();
        });
    }
  }

  private async run(asked: readonly Asked[]): Promise<void> {
    const { keyspace } = this;
    const keys = asked.flatMap(({ key }) => [keyspace.entry(key), keyspace.lease(key), keyspace.versionFloor(key)]);
    const args = asked.flatMap(({ key, mode, known }) => [
      mode,
      key,
      known ? versionBytes(known.version) : '',
      known?.windowMs ?? 0,
    ]);
    await this.runner.run(keys[0]!, script, keys, () => [TOMBSTONE_MS, keyspace.broadcastChannel, ...args]);
  }
}
