import type { Ledger } from '../../core/ledger.js';
import type { Keyspace } from './keyspace.js';
import { Script } from './script.js';
import type { ScriptRunner } from './script-runner.js';

const known = new Script('known');
const ledger = new Script('ledger');

/** Identities in a set before it becomes the older one of two: so many are remembered at least, twice as many at most. */
const SET_SIZE = 50_000;
const IDLE_MS = 86_400_000;
/** What one command carries. */
const BATCH = 1_000;

/** Which events the fleet has dealt with: two sets in Redis, about 10 MB when both are full. */
export class RedisLedger implements Ledger {
  private readonly keys: readonly [younger: string, older: string];

  constructor(
    private readonly runner: ScriptRunner,
    keyspace: Keyspace,
  ) {
    this.keys = keyspace.ledger;
  }

  async known(identities: readonly string[]): Promise<readonly boolean[]> {
    const replies = await Promise.all(batches(identities).map((batch) => this.run(known, batch)));
    return replies.flatMap(({ reply }) => (reply as number[]).map((one) => one === 1));
  }

  async remember(identities: readonly string[]): Promise<void> {
    await Promise.all(batches(identities).map((batch) => this.run(ledger, [SET_SIZE, IDLE_MS, ...batch])));
  }

  private run(script: Script, args: readonly (string | number)[]) {
    return this.runner.run(this.keys[0], script, this.keys, () => args);
  }
}

function batches(identities: readonly string[]): string[][] {
  const count = Math.ceil(identities.length / BATCH);
  return Array.from({ length: count }, (_, i) => identities.slice(i * BATCH, (i + 1) * BATCH));
}
