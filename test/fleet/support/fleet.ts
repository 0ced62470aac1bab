import type { InvalidationMode } from 'nestjs-cache-guard';
import { startWorker, type FleetWorker } from '../../support/fleet-worker.js';
import { uniqueNamespace } from '../../support/namespace.js';
import type {
  Answers,
  AppOptions,
  EventFilter,
  FloodResult,
  LoopOptions,
  ReadMethod,
  ReadRecord,
  WriteLoopOptions,
  WriteMethod,
  WriteRecord,
} from './protocol.js';

/** A crowd of readers that has started. */
export interface Crowd {
  /** Once everybody was answered. */
  answers(): Promise<Answers>;
}

let lastCrowd = 0;

/** A process of the fleet with its Nest application. */
export class Member {
  constructor(
    readonly name: string,
    readonly worker: FleetWorker,
  ) {}

  boot(options: Omit<AppOptions, 'name'>): Promise<void> {
    return this.worker.call('boot', { ...options, name: this.name });
  }

  /** Resolves when all have begun to read. */
  async launch(id: string, readers: number, method: ReadMethod = 'read'): Promise<Crowd> {
    const crowd = (lastCrowd += 1);
    await this.worker.call('launch', crowd, id, readers, method);
    return { answers: () => this.worker.call('answers', crowd) };
  }

  /** A crowd's values; rejects when a reader got an error. */
  async read(id: string, readers = 1, method: ReadMethod = 'read'): Promise<ReadRecord[]> {
    const crowd = await this.launch(id, readers, method);
    return readsOf([await crowd.answers()]);
  }

  write(method: WriteMethod, id: string): Promise<WriteRecord> {
    return this.worker.call('write', method, id);
  }

  rebuild(id: string): Promise<WriteRecord> {
    return this.worker.call('rebuild', id);
  }

  invalidate(id: string, mode: InvalidationMode, name?: string): Promise<void> {
    return this.worker.call('invalidate', id, mode, name);
  }

  /** Resolves when what is cached is past its soft TTL. */
  expired(id: string): Promise<void> {
    return this.worker.call('expired', id);
  }

  readLoop(options: LoopOptions): Promise<Answers> {
    return this.worker.call('readLoop', options);
  }

  writeLoop(options: WriteLoopOptions): Promise<WriteRecord[]> {
    return this.worker.call('writeLoop', options);
  }

  stopLoops(): Promise<void> {
    return this.worker.call('stopLoops');
  }

  /** Reads `count` quotes in one turn, called after the prefix and a running number. */
  flood(prefix: string, first: number, count: number): Promise<FloodResult> {
    return this.worker.call('flood', prefix, first, count);
  }

  /** Resolves once the store answers this process. */
  storeAnswers(): Promise<void> {
    return this.worker.call('storeAnswers');
  }

  /** Resolves when at least `count` such events have come since the application was booted. */
  seen(filter: EventFilter, count = 1): Promise<void> {
    return this.worker.call('seen', filter, count);
  }

  count(filter: EventFilter): Promise<number> {
    return this.worker.call('count', filter);
  }
}

/** Processes that live as long as a test file; each test boots a new application in each of them. */
export class Fleet {
  private booted: Omit<AppOptions, 'name'> | undefined;

  constructor(readonly members: readonly Member[]) {}

  /** Boots everybody into a namespace of its own. */
  async boot(options: Omit<AppOptions, 'name' | 'namespace'> & { readonly namespace?: string }): Promise<void> {
    const booted = { ...options, namespace: options.namespace ?? uniqueNamespace('fleet') };
    this.booted = booted;
    await this.all((member) => member.boot(booted));
  }

  /** Boots one of them anew, as the others but for what is given. */
  async bootOne(member: Member, options: Partial<AppOptions>): Promise<void> {
    await member.boot({ ...this.booted!, ...options });
  }

  all<T>(run: (member: Member, index: number) => Promise<T>): Promise<T[]> {
    return Promise.all(this.members.map(run));
  }

  /** As many readers in every process; resolves when all have begun. */
  async launch(id: string, readers: number, method: ReadMethod = 'read'): Promise<Crowd> {
    return joined(await this.all((member) => member.launch(id, readers, method)));
  }

  /** What everybody in every process got; rejects when a reader got an error. */
  async read(id: string, readers = 1, method: ReadMethod = 'read'): Promise<ReadRecord[]> {
    return (await this.all((member) => member.read(id, readers, method))).flat();
  }

  except(...others: Member[]): Fleet {
    return new Fleet(this.members.filter((member) => !others.includes(member)));
  }

  /** A member by a running number. */
  at(index: number): Member {
    return this.members[index % this.members.length]!;
  }

  async count(filter: EventFilter): Promise<number> {
    const counts = await this.all((member) => member.count(filter));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  named(name: string): Member {
    return this.members.find((member) => member.name === name)!;
  }

  /** Ends all processes in good order and says which of them would not end by themselves. */
  async stop(): Promise<string[]> {
    const stopped = await this.all(async ({ worker, name }) =>
      (await worker.stop()) ? [] : [`${name}: ${worker.log}`],
    );
    return stopped.flat();
  }

  async kill(): Promise<void> {
    await this.all(({ worker }) => worker.kill());
  }
}

export async function startFleet(size: number): Promise<Fleet> {
  return new Fleet(await Promise.all(Array.from({ length: size }, (_, index) => startMember(`p${index + 1}`))));
}

export async function startMember(name: string): Promise<Member> {
  // Source maps cost a fifth of the start.
  return new Member(name, await startWorker('quotes', { execArgv: [] }));
}

export function joined(crowds: readonly Crowd[]): Crowd {
  return {
    async answers() {
      const all = await Promise.all(crowds.map((crowd) => crowd.answers()));
      return { reads: all.flatMap(({ reads }) => reads), failures: all.flatMap(({ failures }) => failures) };
    },
  };
}

/** The reads; an error that reached a reader fails the test. */
export function readsOf(answers: readonly Answers[]): ReadRecord[] {
  const failed = answers.flatMap(({ failures }) => failures);
  if (failed.length > 0)
    throw new Error(`${failed.length} readers got an error, such as: ${JSON.stringify(failed[0])}`);
  return answers.flatMap(({ reads }) => reads);
}
