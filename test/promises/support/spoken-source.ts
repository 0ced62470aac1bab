import type { EventSink, EventSource } from 'nestjs-cache-guard';
import { systemClock } from '../../../lib/adapters/system.js';
import { readRule } from '../../../lib/core/rules.js';
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

/** Lets a process follow sources, with a rule for each domain that rests on one. */
export function follow(member: Member, ...sources: EventSource[]): Promise<void> {
  const reliant = member.guard.policies().filter(({ freshBy }) => freshBy);
  return followFor(
    reliant.map(({ domain }) => domain),
    member,
    ...sources,
  );
}

/** The same with rules for those domains. */
export async function followFor(
  domains: readonly string[],
  { guard }: Member,
  ...sources: EventSource[]
): Promise<void> {
  const rules = domains.map((domain) => readRule({ on: 'changed', domain, all: true }, `the rule for ${domain}`));
  guard.events.configure({ rules, mergeWindowMs: 0 });
  await guard.events.follow(sources);
}
