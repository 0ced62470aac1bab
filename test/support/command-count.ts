import type { Redis } from 'ioredis';

/** Calls per command, as the server names them (lower case, subcommands as `client|setinfo`). */
export type CommandCounts = Readonly<Record<string, number>>;

export interface CommandCounter {
  /** What the servers have executed since the counter was started (or last reset), without the counter's own calls. */
  read(): Promise<CommandCounts>;
  /** Counts from here. */
  reset(): Promise<void>;
}

/**
 * Counts the commands that servers execute, by `INFO commandstats`. Hand in raw clients of the test's own, one per node.
 * Commands that a script calls are counted as well as the script itself; what a client *sent* is what a `TcpProxy`
 * between the two counts.
 */
export async function startCommandCount(...clients: Redis[]): Promise<CommandCounter> {
  let baseline = new Map<string, number>();

  const snapshot = async (): Promise<Map<string, number>> => {
    const infos = await Promise.all(clients.map((client) => client.info('commandstats')));
    const totals = new Map<string, number>();
    for (const [, name, calls] of infos.join('\n').matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)) {
      totals.set(name!, (totals.get(name!) ?? 0) + Number(calls));
    }
    return totals;
  };

  const counter: CommandCounter = {
    async read() {
      const now = await snapshot();
      // A snapshot does not contain the INFO that took it, so every later one contains exactly one more of ours.
      const counts: Record<string, number> = {};
      for (const [name, calls] of now) {
        const executed = calls - (baseline.get(name) ?? 0);
        if (executed > 0) counts[name] = executed;
      }
      baseline.set('info', (baseline.get('info') ?? 0) + clients.length);
      return counts;
    },
    async reset() {
      baseline = await snapshot();
      baseline.set('info', (baseline.get('info') ?? 0) + clients.length);
    },
  };

  await Promise.all(clients.map((client) => client.ping()));
  await counter.reset();
  return counter;
}

/** Runs `work` and returns its result with the commands that the servers executed meanwhile. */
export async function countCommands<T>(
  clients: Redis | readonly Redis[],
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly counts: CommandCounts; readonly total: number }> {
  const counter = await startCommandCount(...[clients].flat());
  const result = await work();
  const counts = await counter.read();
  return { result, counts, total: Object.values(counts).reduce((sum, calls) => sum + calls, 0) };
}
