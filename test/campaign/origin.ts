import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { Random } from './random.js';

/** The source of truth of a campaign: a revision for each path. A load is answered with what was true when it came. */
export interface CampaignOrigin {
  readonly url: string;
  close(): Promise<void>;
}

/** How a load goes: mostly quick, sometimes slow, seldom failing or slower than any time-out. */
function course(random: Random): { readonly ms: number; readonly fails: boolean } {
  const kind = random.next();
  if (kind < 0.88) return { ms: random.between(3, 50), fails: false };
  if (kind < 0.96) return { ms: random.between(80, 350), fails: false };
  if (kind < 0.99) return { ms: random.between(2, 40), fails: true };
  return { ms: random.between(1_600, 2_600), fails: false };
}

export async function startCampaignOrigin(random: Random): Promise<CampaignOrigin> {
  const revisions = new Map<string, number>();
  const load = async (path: string, response: ServerResponse): Promise<void> => {
    const revision = revisions.get(path) ?? 1;
    const { ms, fails } = course(random);
    await pause(ms);
    response.writeHead(fails ? 503 : 200).end(String(revision));
  };
  const server = createServer((request, response) => {
    const path = request.url!;
    if (request.method === 'GET') return void load(path, response);
    revisions.set(path, (revisions.get(path) ?? 1) + 1);
    response.end(String(revisions.get(path)));
  });
  server.keepAliveTimeout = 120_000;
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0, backlog: 1_024 }, resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
