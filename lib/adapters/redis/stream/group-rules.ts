import { CacheGuardError } from '../../../core/errors.js';
import type { EventSink } from '../../../core/event-source.js';

/** Between a consumer's name and that of its rules. */
const SEPARATOR = '~';

/**
 * Notices that processes of one group follow different rules: whoever takes an event acknowledges it for all of them, so what the others'
 * rules wanted of it is not done. Consumers carry the name of their rules in their own. While they differ nobody may rest on the source;
 * once they do no longer, as when a deployment is through, what the rules of this process have missed is invalidated.
 */
export class GroupRules {
  private differ = false;

  constructor(
    private readonly name: string,
    private readonly group: string,
    private readonly sink: EventSink,
  ) {}

  /** The name of a consumer that follows the sink's rules. */
  static consumer(process: string, { rules }: EventSink): string {
    return rules === undefined ? process : process + SEPARATOR + rules;
  }

  /** The sink, to which nothing is said of a source that nobody may rest on. */
  get careful(): EventSink {
    const { sink } = this;
    return {
      types: sink.types,
      rules: sink.rules,
      deliver: (deliveries) => sink.deliver(deliveries),
      giveUp: (event) => sink.giveUp(event),
      deadLettered: (event, reason, failure) => sink.deadLettered(event, reason, failure),
      lost: (reason) => sink.lost(reason),
      trouble: (error) => sink.trouble(error),
      lag: (ms) => {
        if (!this.differ) sink.lag(ms);
      },
    };
  }

  /** Rejects when what was missed could not be told: then it is told the next time. */
  async saw(consumers: readonly string[]): Promise<void> {
    const { name, group, sink } = this;
    const known = consumers.filter((consumer) => sink.rules !== undefined && consumer.includes(SEPARATOR));
    const others = known.filter((consumer) => !consumer.endsWith(SEPARATOR + sink.rules));
    if (others.length > 0) {
      this.differ = true;
      const message =
        `Event source '${name}': ${others.length} of ${known.length} processes of its group '${group}' have other rules, or other domains ` +
        `with freshBy, than this one. Who takes an event acknowledges it for all: what only the others' rules want of it is not done. ` +
        `A deployment mends it when it is through; what is to differ for good needs a group for each kind of process (redisStream's group).`;
      return sink.trouble(new CacheGuardError('CG_RULES_DIFFER', message, { field: 'group' }));
    }
    if (!this.differ) return;
    await sink.lost('processes with other rules have read from the group');
    this.differ = false;
  }
}
