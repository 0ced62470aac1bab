import { Inject, Injectable, Logger } from '@nestjs/common';
import type { Delivery, EventSource, Verdict } from 'nestjs-cache-guard';
import type { SampleConfig } from '../config.js';
import { Database } from '../source/database.js';
import { SAMPLE_CONFIG } from '../tokens.js';

/** How many events are remembered. */
const KEPT = 50;

/** An event whose action is done. */
export interface HandledEvent {
  readonly id: string;
  readonly type: string;
  readonly subject: string | null;
  readonly outcome: string;
  /** Which instance of the fleet did it. */
  readonly instance: string;
  readonly handled: Date;
  /** From the write to its effect. */
  readonly lagMs: number;
}

type Handled = Pick<Delivery, 'event'>;

/** Remembers what became of events, for the page; in the source, so that every instance can tell. */
@Injectable()
export class EventJournal {
  private readonly logger = new Logger('Bank');

  constructor(
    private readonly database: Database,
    @Inject(SAMPLE_CONFIG) private readonly config: SampleConfig,
  ) {}

  /** The same source, with an eye on what becomes of its events. */
  watched(source: EventSource): EventSource {
    return {
      name: source.name,
      delivery: source.delivery,
      open: (sink) =>
        source.open({
          ...sink,
          deliver: async (deliveries) => {
            const verdicts = await sink.deliver(deliveries);
            await this.note(deliveries, verdicts);
            return verdicts;
          },
        }),
      close: () => source.close(),
    };
  }

  /** A journal that cannot be written holds up no event. */
  async note(handled: readonly Handled[], verdicts: readonly Verdict[]): Promise<void> {
    const now = Date.now();
    const rows = handled.flatMap(({ event }, i) => {
      const verdict = verdicts[i]!;
      const { id, type, subject = null, time } = event as Record<string, string | undefined>;
      const outcome = verdict.kind === 'done' ? verdict.outcome : verdict.kind;
      return outcome === 'duplicate' ? [] : [{ id, type, subject, outcome, lag: now - Date.parse(time ?? '') }];
    });
    if (rows.length === 0) return;
    try {
      await this.database.query(
        `with noted as (
           insert into bank_dashboard.handled_events (id, type, subject, outcome, instance, handled, lag_ms)
           select id, type, subject, outcome, $2, to_timestamp($3::float8 / 1000), coalesce(lag, 0)
           from json_to_recordset($1) as given (id text, type text, subject text, outcome text, lag float8)
           returning position)
         delete from bank_dashboard.handled_events where position <= (select max(position) from noted) - $4`,
        [JSON.stringify(rows), this.config.instance, now, KEPT],
      );
    } catch (error) {
      this.logger.warn(`The event journal could not be written: ${(error as Error).message}`);
    }
  }

  latest(most: number): Promise<HandledEvent[]> {
    return this.database.query<HandledEvent>(
      `select id, type, subject, outcome, instance, handled, lag_ms as "lagMs"
       from bank_dashboard.handled_events order by position desc limit $1`,
      [most],
    );
  }
}
