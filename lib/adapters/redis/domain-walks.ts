import type { WalkedEntry } from '../../core/fleet-notes.js';
import type { NodeClient } from './client-shapes.js';
import type { Keyspace } from './keyspace.js';
import type { NodeLink } from './node-link.js';

const SWEEP_BATCH = 500;

interface Found {
  readonly name: string;
  readonly bytes: Buffer;
}

type Bounded = <T>(work: Promise<T>) => Promise<T>;

/** Walks one server's keys of a pattern with SCAN, in bounded steps, and reads them. */
async function* walkNode(
  client: NodeClient,
  pattern: string,
  batch: number,
  bounded: Bounded,
): AsyncIterable<readonly Found[]> {
  let cursor = '0';
  do {
    const [next, keys] = await bounded(client.scanBuffer(cursor, 'MATCH', pattern, 'COUNT', batch));
    cursor = String(next);
    // Also when it found nothing: whoever walks over much that is not his must be able to rest, and to stop.
    if (keys.length === 0) {
      yield [];
      continue;
    }
    const read = client.pipeline();
    for (const key of keys) read.getBuffer(key);
    const values = (await bounded(read.exec())) ?? [];
    yield values.flatMap(([error, bytes], i) =>
      error || !Buffer.isBuffer(bytes) ? [] : [{ name: String(keys[i]), bytes }],
    );
  } while (cursor !== '0');
}

/** Walks over a domain's entries on every server. */
export class DomainWalks {
  constructor(
    /** Throws when the store is closed. */
    private readonly masters: () => readonly NodeLink[],
    private readonly keyspace: Keyspace,
    private readonly bounded: Bounded,
  ) {}

  async *walk(domain: string, batch: number): AsyncIterable<readonly WalkedEntry[]> {
    for (const { client } of this.masters()) {
      for await (const found of walkNode(client, this.keyspace.entriesOf(domain), batch, this.bounded)) {
        yield found.map(({ name, bytes }) => ({ key: this.keyspace.keyOf(name), bytes }));
      }
    }
  }

  /** Unlinks the entries whose bytes are doomed; resolves to their number. */
  async sweep(domain: string, doomed: (bytes: Buffer) => boolean): Promise<number> {
    let swept = 0;
    for (const { client } of this.masters()) {
      for await (const found of walkNode(client, this.keyspace.entriesOf(domain), SWEEP_BATCH, this.bounded)) {
        const names = found.filter(({ bytes }) => doomed(bytes)).map(({ name }) => name);
        const unlink = client.pipeline();
        for (const name of names) unlink.unlink(name);
        if (names.length > 0) await this.bounded(unlink.exec());
        swept += names.length;
      }
    }
    return swept;
  }
}
