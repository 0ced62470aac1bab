import type { GenerationName } from '../../core/generations.js';
import type { EntryKey } from '../../core/keys.js';

/**
 * Names in Redis. What belongs to one entry shares a hash tag, and so a slot: scripts may touch all of it at once.
 *
 * | name                    | what                                        |
 * |-------------------------|---------------------------------------------|
 * | `<ns>:e:{<key>}`        | the entry                                   |
 * | `<ns>:l:{<key>}`        | its lease, attempts, back-off               |
 * | `<ns>:v:{<key>}`        | the least version that is still accepted    |
 * | `<ns>:g:{<generation>}` | a tag's or domain's generation              |
 * | `<ns>:a:{<key>}`        | the last call behind it: key and arguments  |
 * | `<ns>:b:{<name>}`       | a note of one process for the others        |
 * | `<ns>:d:{events}:*`     | events that were dealt with                 |
 * | `<ns>:w:{refreshes}`    | stream of refreshes for the workers         |
 * | `<ns>:live`             | processes by the time of their last beat    |
 * | `<ns>:all`              | channel of invalidations                    |
 * | `<ns>:p:<process>`      | channel to one process                      |
 */
export class Keyspace {
  /** @param namespace with the key prefix of the connection before it */
  constructor(private readonly namespace: string) {}

  entry(key: EntryKey): string {
    return `${this.namespace}:e:{${key}}`;
  }

  lease(key: EntryKey): string {
    return `${this.namespace}:l:{${key}}`;
  }

  versionFloor(key: EntryKey): string {
    return `${this.namespace}:v:{${key}}`;
  }

  generation(name: GenerationName): string {
    return `${this.namespace}:g:{${name}}`;
  }

  /** For SCAN. */
  entriesOf(domain: string): string {
    return `${this.namespace.replace(/[*?[\]\\]/g, '\\$&')}:e:{${domain}:*`;
  }

  record(key: EntryKey): string {
    return `${this.namespace}:a:{${key}}`;
  }

  note(name: string): string {
    return `${this.namespace}:b:{${name}}`;
  }

  /** The key of an entry's name. */
  keyOf(entry: string): EntryKey {
    return entry.slice(this.namespace.length + ':e:{'.length, -1);
  }

  get ledger(): readonly [younger: string, older: string] {
    return [`${this.namespace}:d:{events}:1`, `${this.namespace}:d:{events}:2`];
  }

  get live(): string {
    return `${this.namespace}:live`;
  }

  get broadcastChannel(): string {
    return `${this.namespace}:all`;
  }

  get processChannelPrefix(): string {
    return `${this.namespace}:p:`;
  }
}
