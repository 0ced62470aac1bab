import type { KeySignal } from '../../core/store.js';
import type { Keyspace } from './keyspace.js';
import type { Topology } from './topology.js';

/** What arrives: a signal, or one server's share of a beat. */
export type Message = KeySignal | { readonly kind: 'beat'; readonly beat: number; readonly from: string };

/**
 * Messages of the scripts: `w|<µs>|<key>|<loaded>` a lease that we wait for ended, `i|<µs>|<key>` invalidated, `r|<key>` replaced while fresh,
 * `g|<µs>|<generation>` advanced, `h|<beat>|<server>` a beat of this process.
 */
export function parseMessage(message: string): Message | undefined {
  const [kind, first = '', rest, loaded] = message.split('|', 4);
  const atMs = Number(first) / 1_000;
  switch (kind) {
    case 'r':
      return { kind: 'replaced', key: first };
    case 'w':
      return rest && Number.isFinite(atMs) ? { kind: 'released', key: rest, atMs, loaded: loaded === '1' } : undefined;
    case 'i':
      return rest && Number.isFinite(atMs) ? { kind: 'invalidated', key: rest, atMs } : undefined;
    case 'g':
      return rest && Number.isFinite(atMs) ? { kind: 'advanced', generation: rest, value: Number(first) } : undefined;
    case 'h':
      return rest ? { kind: 'beat', beat: Number(first), from: rest } : undefined;
    default:
      return undefined;
  }
}

/** Subscribes to the fleet's invalidations and to what is meant for this process; foreign messages are passed over. */
export function listen(
  { subscriber }: Pick<Topology, 'subscriber'>,
  keyspace: Keyspace,
  process: string,
  onMessage: (message: Message) => void,
): Promise<void> {
  return subscriber.subscribe([keyspace.broadcastChannel, keyspace.processChannelPrefix + process], (text) => {
    const message = parseMessage(text);
    if (message) onMessage(message);
  });
}
