import type { LoadContext, ReadTarget, ServedValue } from 'nestjs-cache-guard';
import { startRedis, type RedisServer } from '../../support/redis-server.js';
import { startProxy, type TcpProxy } from '../../support/tcp-proxy.js';
import type { Fleet, Member } from './fleet.js';

/** Short, so that a test sees what happens after it; heartbeats are given up after half of it. */
export const COMMAND_MS = 400;

/** A server that the test may do with as it likes. */
export async function ownRedis(fleet: Fleet, args: readonly string[] = []): Promise<RedisServer> {
  const server = await startRedis({ args });
  fleet.finally(() => server.stop());
  return server;
}

/** The same behind a proxy. */
export async function ownProxy(fleet: Fleet, server: RedisServer): Promise<TcpProxy> {
  const proxy = await startProxy(server.port);
  fleet.finally(() => proxy.stop());
  return proxy;
}

export interface Seen extends Pick<ServedValue, 'state'> {
  readonly value: unknown;
  readonly ms: number;
}

/** A read: what it gave, as what, and how long it took. */
export async function see(
  { guard }: Member,
  target: ReadTarget,
  load: (context: LoadContext) => Promise<unknown> = async () => 'new',
): Promise<Seen> {
  const from = performance.now();
  const { value, served } = await guard.trace(() => guard.getOrLoad<unknown>(target, load));
  return { value, state: served.at(-1)?.state ?? 'uncached', ms: performance.now() - from };
}

/** Resolves when each of them knows that the store is away. */
export async function knowAway(...members: Member[]): Promise<void> {
  await Promise.all(members.map((member) => member.heard('store-state', { state: 'away' })));
}

/** Resolves when each of them is in full use of the store again. */
export async function areBack(...members: Member[]): Promise<void> {
  const isBack = async (member: Member): Promise<void> => {
    const states = (): string[] => member.all('store-state').map(({ state }) => state);
    while ((states().at(-1) ?? 'up') !== 'up') {
      const times = states().filter((state) => state === 'up').length;
      await member.heard('store-state', { state: 'up' }, times + 1);
    }
  };
  await Promise.all(members.map(isBack));
}
