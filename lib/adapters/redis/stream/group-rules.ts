import { CacheGuardError } from '../../../core/errors.js';
import type { EventSink } from '../../../core/event-source.js';
import { fingerprintOf } from '../../../core/rules.js';
import type { Consumers } from './stream-group.js';

/** Before the name of a consumer's rules in its own, and before the word that it has left. */
const SEPARATOR = '~';

export interface GroupRulesOptions {
  readonly name: string;
  readonly group: string;
  /** Where the rules' domains are: the same rules in another namespace do other things. `undefined`: all have one. */
  readonly namespace: string | undefined;
  readonly sink: EventSink;
  /** Leaves no trace of consumers that are gone. */
  readonly forget: (consumers: readonly string[]) => Promise<void>;
}

/**
 * Notices that processes of one group follow different rules: whoever takes an event acknowledges it for all of them, so what the others'
 * rules wanted of it is not done. Consumers carry the name of their rules in their own, and it stays in the group when they leave or die,
 * so that nobody is too short-lived to be noticed. While they differ nobody may rest on the source; once the others are gone, as when a
 * deployment is through, what the rules of this process have missed is invalidated, and only then is their name taken away.
 */
export class GroupRules {
  private differ = false;
  /** Of those that are gone, the ones that are made up for, and could not be forgotten yet. */
  private settled = new Set<string>();

  constructor(private readonly options: GroupRulesOptions) {}

  /** The name of a consumer that follows the sink's rules. */
  static consumer(process: string, sink: EventSink, namespace: string | undefined): string {
    const rules = nameOf(sink, namespace);
    return rules === undefined ? process : process + SEPARATOR + rules;
  }

  /** The sink, to which nothing is said of a source that nobody may rest on. */
  get careful(): EventSink {
    const { sink } = this.options;
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
  async saw({ here, gone }: Consumers): Promise<void> {
    const { sink, forget } = this.options;
    const others = this.othersOf(here);
    const left = this.othersOf(gone);
    this.settled = new Set(left.filter((consumer) => this.settled.has(consumer)));
    this.differ = others.length > 0 || left.length > this.settled.size;
    if (this.differ) this.tell(others.length, here.filter((consumer) => rulesOf(consumer) !== undefined).length);
    if (others.length > 0 || left.length === 0) return;
    if (this.differ) await sink.lost('processes with other rules have read from the group');
    this.differ = false;
    this.settled = new Set(left);
    await forget(left);
  }

  private othersOf(consumers: readonly string[]): string[] {
    const own = nameOf(this.options.sink, this.options.namespace);
    return consumers.filter((consumer) => {
      const rules = rulesOf(consumer);
      return own !== undefined && rules !== undefined && rules !== own;
    });
  }

  private tell(others: number, known: number): void {
    const { name, group, sink } = this.options;
    const who =
      others > 0
        ? `${others} of ${known} processes of its group '${group}' have`
        : `processes of its group '${group}' had`;
    const mend =
      others > 0
        ? 'A deployment mends it when it is through'
        : 'They are gone, and what follows the source is invalidated to make up for it';
    const message =
      `Event source '${name}': ${who} other rules, other domains with freshBy, or another namespace, than this one. ` +
      `Who takes an event acknowledges it for all: what only the others' rules want of it is not done. ` +
      `${mend}; what is to differ for good needs a group for each kind of process (redisStream's group).`;
    sink.trouble(new CacheGuardError('CG_RULES_DIFFER', message, { field: 'group' }));
  }
}

function nameOf({ rules }: EventSink, namespace: string | undefined): string | undefined {
  return rules === undefined || namespace === undefined ? rules : fingerprintOf([namespace, rules]);
}

function rulesOf(consumer: string): string | undefined {
  return consumer.split(SEPARATOR)[1];
}
