import type { Clock } from '../../core/clock.js';
import { isMoved, unavailable, withinBudget } from './budget.js';
import type { NodeLink } from './node-link.js';
import type { Script } from './script.js';
import type { Topology } from './topology.js';

export type Argument = string | number | Buffer;

/** Scripts that answer with the server's time in their second place. */
const STAMPED: ReadonlySet<string> = new Set(['acquire', 'commit']);

/** Runs scripts where their keys live, each within the time that a command has. */
export class ScriptRunner {
  private closed = false;

  constructor(
    private readonly topology: Topology,
    private readonly clock: Clock,
    private readonly commandTimeoutMs: number,
  ) {}

  /** Runs a script on the server that has `home`, whose clock and identity are known by then. */
  run(
    home: string,
    script: Script,
    keys: readonly string[],
    args: (link: NodeLink, epoch: number) => readonly Argument[],
  ) {
    return this.at(
      home,
      async (link) => {
        const epoch = link.known ?? (await link.identify());
        const sentAt = link.clock.start();
        try {
          const reply = await script.run(link.client, keys, args(link, epoch));
          const stamped = STAMPED.has(script.name) && Array.isArray(reply) && reply.length > 1;
          if (stamped) link.clock.learn(Number(reply[1]) / 1_000, sentAt);
          return { link, epoch, reply };
        } catch (error) {
          if (isMoved(error)) this.topology.refresh();
          throw error;
        }
      },
      `the script '${script.name}'`,
    );
  }

  /** Works with the server that has `home`, within the time that a command has. */
  async at<T>(home: string, work: (link: NodeLink) => Promise<T>, what: string): Promise<T> {
    if (this.closed) throw unavailable('the store is closed');
    const link = this.topology.linkFor(home);
    return link.run(() => withinBudget(work(link), what, this.commandTimeoutMs, this.clock));
  }

  /** Server time after which a command that was held up on its way must do nothing: nobody waits for it any more. */
  deadline(link: NodeLink): number {
    return Math.ceil((link.clock.now() ?? Infinity) + this.commandTimeoutMs);
  }

  close(): void {
    this.closed = true;
  }
}
