import type { Board, Records } from '../../core/fleet-notes.js';
import type { EntryKey } from '../../core/keys.js';
import type { Keyspace } from './keyspace.js';
import type { ReadBatcher } from './read-batch.js';
import type { ScriptRunner } from './script-runner.js';

/** Sets one key, with its life; errors of the server are errors. */
async function keep(runner: ScriptRunner, name: string, bytes: string | Buffer, ttlMs: number): Promise<void> {
  await runner.at(name, (link) => link.client.set(name, bytes, 'PX', Math.ceil(ttlMs)), 'a note');
}

export class RedisRecords implements Records {
  constructor(
    private readonly runner: ScriptRunner,
    private readonly reads: ReadBatcher,
    private readonly keyspace: Keyspace,
  ) {}

  put(key: EntryKey, record: Buffer, ttlMs: number): Promise<void> {
    return keep(this.runner, this.keyspace.record(key), record, ttlMs);
  }

  async get(keys: readonly EntryKey[]): Promise<readonly (Buffer | undefined)[]> {
    const answers = await Promise.all(keys.map((key) => this.reads.read(this.keyspace.record(key))));
    return answers.map(({ bytes }) => bytes ?? undefined);
  }
}

export class RedisBoard implements Board {
  constructor(
    private readonly runner: ScriptRunner,
    private readonly reads: ReadBatcher,
    private readonly keyspace: Keyspace,
  ) {}

  post(name: string, text: string, ttlMs: number): Promise<void> {
    return keep(this.runner, this.keyspace.note(name), text, ttlMs);
  }

  async read(names: readonly string[]): Promise<readonly (string | undefined)[]> {
    const answers = await Promise.all(names.map((name) => this.reads.read(this.keyspace.note(name))));
    return answers.map(({ bytes }) => bytes?.toString());
  }
}
