import {
  Inject,
  Injectable,
  Optional,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { defer, lastValueFrom, type Observable } from 'rxjs';
import { errorKind, thrownText } from '../../core/errors.js';
import type { Verdict } from '../../core/event-source.js';
import type { RetryOptions } from '../../engine/events/retries.js';
import { messageOf, type BrokerMessage } from './broker-message.js';
import { feedOf, type Feed } from './feed.js';
import { HandledEvents } from './handled-events.js';

const RETRIES: Readonly<Record<BrokerMessage['kind'], RetryOptions>> = {
  // The broker bounds how many it hands out.
  acknowledged: {},
  // What is behind it in the partition waits; the consumer delivers it again, also after a restart.
  log: { awaitStore: false },
  none: { maxWaiting: 1_000 },
};

interface Applied {
  /** `undefined`: there was nothing to apply. */
  readonly verdict?: Verdict;
  readonly event?: unknown;
}

const NOTHING: Applied = {};

/** Around the handlers with `@FeedsCache`. Not a wrapper of the method, because a method sees only the arguments that it declares. */
@Injectable()
export class FeedsCacheInterceptor implements NestInterceptor {
  // A handler must also work in a test or an app without the module.
  constructor(@Optional() @Inject(HandledEvents) private readonly handled?: HandledEvents) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const feed = feedOf(context.getHandler());
    if (!feed || context.getType() !== 'rpc') return next.handle();
    const rpc = context.switchToRpc();
    return defer(() => this.run(feed, rpc.getData(), rpc.getContext(), next));
  }

  private async run(feed: Feed, payload: unknown, context: unknown, next: CallHandler): Promise<unknown> {
    const message = messageOf(context);
    const answers = feed.ack && message.kind === 'acknowledged' ? message : undefined;
    let result: unknown;
    try {
      result = await lastValueFrom(next.handle(), { defaultValue: undefined });
    } catch (error) {
      answers?.putAside();
      throw error;
    }
    const { verdict, event } = this.handled ? await this.apply(this.handled, feed, message, payload, context) : NOTHING;
    if (!verdict || verdict.kind === 'done') {
      answers?.ack();
      return result;
    }
    const comesAgain = verdict.kind !== 'poison' && message.kind !== 'none';
    if (!comesAgain) {
      this.handled!.deadLettered(feed.source, event, verdict.reason, verdict);
      answers?.putAside();
    } else if (message.kind === 'log') {
      await rejectForLog(verdict.reason);
    }
    return result;
  }

  private async apply(
    handled: HandledEvents,
    { source, toEvent }: Feed,
    { kind }: BrokerMessage,
    payload: unknown,
    context: unknown,
  ): Promise<Applied> {
    let event = payload;
    try {
      if (toEvent) event = toEvent(payload, context);
    } catch (error) {
      const reason = `toEvent: ${thrownText(error, { named: true }).slice(0, 200)}`;
      return { verdict: { kind: 'poison', reason, rule: 'toEvent', error: errorKind(error) } };
    }
    if (event === undefined && toEvent) return NOTHING;
    return { event, verdict: await handled.take(source, event, RETRIES[kind]) };
  }
}

/** In the terms of Nest, so that no filter logs it as a fault of the application. */
async function rejectForLog(reason: string): Promise<never> {
  const { KafkaRetriableException } = await import('@nestjs/microservices');
  throw new KafkaRetriableException(`The cache has not followed the event yet (${reason}); it is to come again.`);
}
