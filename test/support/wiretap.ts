import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';

/** Everything that is sent to the server from now on, by whomever, until the end. */
export async function wiretap(
  raw: Redis,
): Promise<{ readonly heard: () => Promise<string>; readonly end: () => void }> {
  const monitor = await raw.monitor();
  let said = '';
  monitor.on('monitor', (_time: string, args: readonly string[]) => (said += `${args.join(' ')}\n`));
  return {
    heard: async () => {
      const last = `end of listening ${randomUUID()}`;
      await raw.echo(last);
      while (!said.includes(last)) await new Promise((resolve) => setImmediate(resolve));
      return said;
    },
    end: () => monitor.disconnect(),
  };
}

/** What lies in the server under the namespace, of whatever type, names included. */
export async function lying(raw: Redis, namespace: string): Promise<string> {
  const found: string[] = [];
  for (const name of await raw.keys(`*${namespace}*`)) {
    const kind = await raw.type(name);
    const read: Readonly<Record<string, () => Promise<unknown>>> = {
      string: async () => (await raw.getBuffer(name))?.toString('latin1'),
      hash: () => raw.hgetall(name),
      stream: () => raw.xrange(name, '-', '+'),
      list: () => raw.lrange(name, 0, -1),
      set: () => raw.smembers(name),
      zset: () => raw.zrange(name, '0', '-1'),
    };
    found.push(`${name} ${JSON.stringify(await (read[kind] ?? (async () => kind))())}`);
  }
  return found.join('\n');
}

/** A text as it would be found in other texts: as it is, and within base64 at each of its three offsets. */
export function traces(marker: string): readonly string[] {
  const shifted = [0, 1, 2].map((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), Buffer.from(marker), Buffer.alloc(3)]).toString('base64');
    return text.slice(offset === 0 ? 0 : 4, Math.floor(((offset + marker.length) * 4) / 3) - 1);
  });
  return [marker, ...shifted, Buffer.from(marker).toString('hex')];
}
