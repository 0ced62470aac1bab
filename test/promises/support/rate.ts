import { setMaxListeners } from 'node:events';
import type { LoadContext } from 'nestjs-cache-guard';
import { until, type Fleet, type Member, type MemberOptions } from './fleet.js';

/** A loader that answers at once and remembers when it was called, and with which name. */
export class Log {
  readonly times: number[] = [];
  readonly names: string[] = [];
  /** Of the readers, so that nothing of theirs is left to wait for. */
  readonly leaving = new AbortController();

  constructor(private readonly fleet: Fleet) {
    setMaxListeners(0, this.leaving.signal);
  }

  /** On the fleet's own clock. */
  now(): number {
    return this.fleet.kind === 'memory' ? this.fleet.clock.monotonic() : performance.now();
  }

  readonly load = (name: string) => async (): Promise<string> => {
    this.note(name);
    return name;
  };

  readonly uncacheable =
    (name: string) =>
    async (context: LoadContext<string>): Promise<string> => {
      this.note(name);
      context.doNotCache();
      return name;
    };

  note(name: string): void {
    this.times.push(this.now());
    this.names.push(name);
  }

  /** The most calls in any stretch of time of this length. */
  mostWithin(ms: number): number {
    const times = this.times.toSorted((a, b) => a - b);
    let most = 0;
    for (let from = 0, to = 0; to < times.length; to++) {
      while (times[to]! - times[from]! >= ms) from++;
      most = Math.max(most, to - from + 1);
    }
    return most;
  }

  countFrom(sinceMs: number): number {
    return this.times.filter((ms) => ms >= sinceMs).length;
  }
}

/** Tells a process in memory how large the fleet is, as Redis would by its beats. */
export class Census {
  live = 1;

  readonly options = {
    remote: true,
    prepare: (store) => {
      const beat = store.beat.bind(store);
      store.beat = async (request) => ({ ...(await beat(request)), live: this.live, settled: this.live });
    },
  } satisfies MemberOptions;
}

/** Resolves when as many processes have beaten in the last three seconds, and these go by it. */
export async function counted(fleet: Fleet, live: number, members: readonly Member[]): Promise<void> {
  const alive = async (): Promise<number> => {
    const [seconds, micros] = await fleet.raw.time();
    const now = Number(seconds) * 1e6 + Number(micros);
    return fleet.raw.zcount(`${fleet.namespace}:live`, now - 3e6, '+inf');
  };
  await until(async () => (await alive()) === live, `a fleet of ${live}`);
  const before = members.map(({ store }) => store.calls.beat);
  await until(() => members.every(({ store }, index) => store.calls.beat >= before[index]! + 2), 'two more beats');
}
