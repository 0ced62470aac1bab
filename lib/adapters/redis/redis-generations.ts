import type { GenerationName, Generations } from '../../core/generations.js';
import { parseGeneration } from './generation-record.js';
import type { Keyspace } from './keyspace.js';
import type { ReadBatcher } from './read-batch.js';
import { Script } from './script.js';
import type { ScriptRunner } from './script-runner.js';
import type { Topology } from './topology.js';

const generations = new Script('generations');

/** Marks of domains and tags, and when they last moved. */
export class RedisGenerations {
  constructor(
    private readonly topology: Pick<Topology, 'spread'>,
    private readonly runner: ScriptRunner,
    private readonly reads: ReadBatcher,
    private readonly keyspace: Keyspace,
  ) {}

  /** All at once where one server has all; a cluster keeps each generation in a slot of its own. */
  async ensure(names: readonly GenerationName[], ttlMs: number): Promise<Generations> {
    const keys = names.map((name) => this.keyspace.generation(name));
    const groups = this.topology.spread ? keys.map((key) => [key]) : keys.length > 0 ? [keys] : [];
    const answers = await Promise.all(
      groups.map(async (group) => {
        const { reply, epoch } = await this.runner.run(group[0]!, generations, group, (_link, known) => [
          Math.ceil(ttlMs),
          known,
        ]);
        return (reply as Buffer[]).map((record) => parseGeneration(record, epoch));
      }),
    );
    const known = answers.flat();
    return new Map(names.map((name, i) => [name, known[i]]));
  }

  async read(names: readonly GenerationName[]): Promise<Generations> {
    const answers = await Promise.all(names.map((name) => this.reads.read(this.keyspace.generation(name))));
    return new Map(names.map((name, i) => [name, parseGeneration(answers[i]!.bytes, answers[i]!.epoch)]));
  }
}
