import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Item } from './origin-client.js';
import { serve } from './rpc.js';

/** The source of truth, in a process of its own: slow to read, quick to write, and it counts what it is asked. */

const versions = new Map<string, number>();
let delayMs = 0;
let loads = 0;
let running = 0;
let mostAtOnce = 0;

const server = createServer((request, response) => {
  const id = decodeURIComponent((request.url ?? '/').slice(1));
  if (request.method === 'POST') {
    versions.set(id, (versions.get(id) ?? 1) + 1);
    respond(response, itemOf(id));
  } else {
    void load(id).then((item) => respond(response, item));
  }
});
// A connection that is closed while a request is under way would be an error that has nothing to do with caching.
server.keepAliveTimeout = 0;

/** Sees what was true when it began, like a query that works on a snapshot. */
async function load(id: string): Promise<Item> {
  const item = itemOf(id);
  loads += 1;
  running += 1;
  mostAtOnce = Math.max(mostAtOnce, running);
  await sleep(delayMs);
  running -= 1;
  return item;
}

function itemOf(id: string): Item {
  return { id, version: versions.get(id) ?? 1, title: `Item ${id}`, tags: ['demo', 'counted', 'slow'] };
}

function respond(response: ServerResponse, item: Item): void {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(item));
}

const listening = new Promise<number>((resolve) => {
  server.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 }, () => resolve((server.address() as AddressInfo).port));
});

const functions = {
  port: () => listening,
  /** Counts from here; a load takes `ms` from here. */
  begin: (ms: number): void => {
    delayMs = ms;
    loads = 0;
    mostAtOnce = running;
  },
  counts: () => ({ loads, mostAtOnce, running }),
};

export type OriginProcess = typeof functions;

serve(functions, async () => {
  server.close();
  server.closeAllConnections();
});
