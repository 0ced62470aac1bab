import type { NodeClient } from './client-shapes.js';

const BATCH = 500;

/** Walks one server's keys of a pattern with SCAN, in bounded steps, and unlinks those whose bytes are doomed. */
export async function sweepNode(
  client: NodeClient,
  pattern: string,
  doomed: (bytes: Buffer) => boolean,
  bounded: <T>(work: Promise<T>) => Promise<T>,
): Promise<number> {
  let swept = 0;
  let cursor = '0';
  do {
    const [next, keys] = await bounded(client.scanBuffer(cursor, 'MATCH', pattern, 'COUNT', BATCH));
    cursor = String(next);
    const read = client.pipeline();
    for (const key of keys) read.getBuffer(key);
    const values = keys.length > 0 ? ((await bounded(read.exec())) ?? []) : [];
    const unlink = client.pipeline();
    let count = 0;
    values.forEach(([error, bytes], i) => {
      if (error || !Buffer.isBuffer(bytes) || !doomed(bytes)) return;
      unlink.unlink(keys[i]!);
      count++;
    });
    if (count > 0) await bounded(unlink.exec());
    swept += count;
  } while (cursor !== '0');
  return swept;
}
