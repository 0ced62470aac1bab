/**
 * What an `@EventPattern` handler can do about the message that it was called for.
 *
 * - `acknowledged`: the broker keeps the message until it is told what became of it (RabbitMQ);
 * - `log`: the broker moves on when the handler resolves, and delivers again when it rejects (Kafka);
 * - `none`: the message is gone (NATS without JetStream, Redis, MQTT, TCP).
 */
export type BrokerMessage =
  | { readonly kind: 'acknowledged'; ack(): void; putAside(): void }
  | { readonly kind: 'log' }
  | { readonly kind: 'none' };

/** What is used of Nest's contexts; told by their methods, because `@nestjs/microservices` is optional. */
interface RpcContext {
  getMessage?(): object;
  getChannelRef?(): { ack(message: object): void; nack(message: object, allUpTo: boolean, requeue: boolean): void };
  getConsumer?(): unknown;
}

/** A second answer about a message closes the channel, and with it all that is under way there. */
const answered = new WeakSet<object>();

/** @param context as Nest gives it to the handler */
export function messageOf(context: unknown): BrokerMessage {
  const given = (context ?? {}) as RpcContext;
  if (typeof given.getConsumer === 'function') return { kind: 'log' };
  if (typeof given.getChannelRef !== 'function' || typeof given.getMessage !== 'function') return { kind: 'none' };
  const message = given.getMessage();
  const channel = given.getChannelRef();
  return {
    kind: 'acknowledged',
    ack: () => answer(message, () => channel.ack(message)),
    putAside: () => answer(message, () => channel.nack(message, false, false)),
  };
}

function answer(message: object, send: () => void): void {
  if (answered.has(message)) return;
  answered.add(message);
  try {
    send();
  } catch {
    // The channel is closed: the broker delivers the message again, and the event is recognised as a repeat.
  }
}
