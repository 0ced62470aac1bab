import type { EventSink, EventSource } from 'nestjs-cache-guard';
import { systemClock } from '../../../lib/adapters/system.js';
import type { Fleet, Member } from './fleet.js';

/** A source that says that it is alive for as long as the test wants, in the fleet's time. */
export class SpokenSource implements EventSource {
  readonly delivery = 'shared';
  sink!: EventSink;
  lagMs = 0;
  private cancel: (() => void) | undefined;

  constructor(
    readonly fleet: Fleet,
    readonly name = 'ledger',
  ) {}

  async open(sink: EventSink): Promise<void> {
    this.sink = sink;
  }

  async close(): Promise<void> {
    this.fallSilent();
  }

  speak(lagMs = 0): void {
    this.fallSilent();
    this.lagMs = lagMs;
    const clock = this.fleet.kind === 'memory' ? this.fleet.clock : systemClock;
    const say = (): void => {
      this.sink.lag(this.lagMs);
      this.cancel = clock.schedule(600, say);
    };
    say();
  }

  fallSilent(): void {
    this.cancel?.();
    this.cancel = undefined;
  }
}

/** Lets a process follow sources, without rules. */
export async function follow({ guard }: Member, ...sources: EventSource[]): Promise<void> {
  guard.events.configure({ rules: [], mergeWindowMs: 0 });
  await guard.events.follow(sources);
}
