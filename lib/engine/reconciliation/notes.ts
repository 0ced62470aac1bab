import type { Clock } from '../../core/clock.js';
import type { Board } from '../../core/fleet-notes.js';
import type { ReconcilingPolicy } from './reconciling-policy.js';
import type { LastReconciliation } from './report.js';

const DAY_MS = 86_400_000;

/** When a scheduled run began; `ended: false` while it goes on, and of one whose process gave it up or died. */
export interface Turn {
  /** Store time. */
  readonly startedMs: number;
  readonly ended: boolean;
}

/** What the processes of the fleet tell each other of a domain's runs. Each call rejects when the store does not answer. */
export class RunNotes {
  constructor(
    private readonly board: Board,
    private readonly clock: Pick<Clock, 'wall'>,
  ) {}

  async turn({ domain }: ReconcilingPolicy): Promise<Turn | undefined> {
    const note = await this.read(`turn:${domain}`);
    const { startedMs, ended } = note ?? {};
    return typeof startedMs === 'number' ? { startedMs, ended: ended === true } : undefined;
  }

  async postTurn(policy: ReconcilingPolicy, turn: Turn): Promise<void> {
    await this.post(`turn:${policy.domain}`, turn, policy);
  }

  async last({ domain }: ReconcilingPolicy): Promise<LastReconciliation | undefined> {
    const note = await this.read(`last:${domain}`);
    return note && ({ ...note, endedAt: new Date(note['endedAt'] as string) } as LastReconciliation);
  }

  async postLast(policy: ReconcilingPolicy, last: LastReconciliation): Promise<void> {
    await this.post(`last:${policy.domain}`, last, policy);
  }

  /** Now, as `endedAt`. */
  now(): Date {
    return new Date(this.clock.wall());
  }

  private async post(name: string, note: object, { reconcile }: ReconcilingPolicy): Promise<void> {
    const ttlMs = Math.max(7 * DAY_MS, 3 * reconcile.everyMs);
    await this.board.post(`reconciliation:${name}`, JSON.stringify(note), ttlMs);
  }

  private async read(name: string): Promise<Readonly<Record<string, unknown>> | undefined> {
    const [text] = await this.board.read([`reconciliation:${name}`]);
    return text === undefined ? undefined : (JSON.parse(text) as Readonly<Record<string, unknown>>);
  }
}
