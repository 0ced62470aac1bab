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

interface Asked {
  readonly key: EntryKey;
  readonly mode: InvalidationMode;
  readonly known: KnownVersion | undefined;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Sends the invalidations of one turn of the event loop together; a cluster keeps each key in a slot of its own. */
export class InvalidateBatcher {
  private asked: Asked[] = [];

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
    const all = this.asked;
    this.asked = [];
    const most = this.topology.spread ? 1 : MOST_KEYS;
    for (let from = 0; from < all.length; from += most) {
      const some = all.slice(from, from + most);
      this.run(some).then(
        () => some.forEach(({ resolve }) => resolve()),
        (error: unknown) => some.forEach(({ reject }) => reject(error)),
      );
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
