import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { Quote } from './protocol.js';
import { sharedNow } from './time.js';

/** One request of a loader (or of a write-through) at the origin. */
export interface Load {
  readonly number: number;
  readonly id: string;
  readonly kind: 'load' | 'rebuild';
  /** Name of the process that asks. */
  readonly process: string;
  /** The truth when it came: what it will answer, however late. */
  version: number;
  readonly beganMs: number;
  endedMs: number;
  outcome: 'running' | 'answered' | 'failed' | 'gone';
  /** Lets it answer (or fail); resolves when the answer is on its way. */
  release(how?: 'answer' | 'fail'): Promise<void>;
}

/**
 * The source of truth, in the test's process: it counts the loads of all processes and holds them as long as the test
 * wants. A load answers what was true when it came, so that every load is a stale one if a write overtakes it.
 */
export class Origin {
  /** How long a load takes that is not held. */
  latencyMs = 0;
  /** When a write-through changes the truth: as soon as it has come, or just before it is answered. */
  rebuildsAt: 'begin' | 'end' = 'begin';
  /** Loads are answered by a replica that does not know the latest write yet. */
  lagging = false;
  /** Loads that are not held fail. */
  failing = false;
  readonly all: Load[] = [];
  private readonly truths = new Map<string, number>();
  private readonly held = new Set<string>();
  private readonly arrived = new Map<string, Load[]>();
  private readonly expecting = new Map<string, ((load: Load) => void)[]>();
  private readonly running = new Map<string, number>();
  private readonly most = new Map<string, number>();

  constructor(
    readonly url: string,
    readonly close: () => Promise<void>,
  ) {}

  truth(id: string): number {
    return this.truths.get(id) ?? 1;
  }

  /** A write by whoever: the truth is the next version. */
  bump(id: string): number {
    this.truths.set(id, this.truth(id) + 1);
    return this.truth(id);
  }

  /** From now on loads of `id` wait for their `release`. */
  hold(...ids: string[]): void {
    for (const id of ids) this.held.add(id);
  }

  /** Loads that come from now on are answered; those that wait go on waiting. */
  open(...ids: string[]): void {
    for (const id of ids) this.held.delete(id);
  }

  /** The next load (or write-through) of `id` that was not handed out yet, as soon as it has come. */
  next(id: string, kind: Load['kind'] = 'load'): Promise<Load> {
    const load = this.arrived.get(`${kind} ${id}`)?.shift();
    if (load) return Promise.resolve(load);
    return new Promise((resolve) => append(this.expecting, `${kind} ${id}`, resolve));
  }

  /** The next `count` loads of `id`; while it is held, they are all in flight at once. */
  nexts(id: string, count: number): Promise<Load[]> {
    return Promise.all(Array.from({ length: count }, () => this.next(id)));
  }

  loads(id: string): Load[] {
    return this.all.filter((load) => load.id === id && load.kind === 'load');
  }

  mostConcurrent(id: string): number {
    return this.most.get(id) ?? 0;
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url!, this.url);
    const id = decodeURIComponent(url.pathname.slice(1));
    if (request.method === 'POST') return reply(response, { id, version: this.bump(id), load: 0 });
    const kind = request.method === 'PUT' ? 'rebuild' : 'load';
    if (kind === 'rebuild' && this.rebuildsAt === 'begin') this.bump(id);
    await this.answer(this.admit(id, kind, url.searchParams.get('process')!, response), response);
  }

  private async answer(load: Load & { released: Promise<'answer' | 'fail'> }, response: ServerResponse): Promise<void> {
    const { id, number } = load;
    const held = this.held.has(id) || load.kind === 'rebuild';
    if (!held && this.latencyMs > 0) await pause(this.latencyMs);
    const wanted = held ? await load.released : this.failing ? 'fail' : 'answer';
    if (load.kind === 'rebuild' && this.rebuildsAt === 'end') load.version = this.bump(id);
    load.endedMs = sharedNow();
    this.running.set(id, this.running.get(id)! - 1);
    if (response.destroyed) return;
    load.outcome = wanted === 'fail' ? 'failed' : 'answered';
    if (wanted === 'fail') response.statusCode = 503;
    await reply(response, { id, version: load.version, load: number });
  }

  private admit(id: string, kind: Load['kind'], from: string, response: ServerResponse) {
    let go!: (how: 'answer' | 'fail') => void;
    const released = new Promise<'answer' | 'fail'>((resolve) => (go = resolve));
    const over = new Promise<void>((resolve) => response.once('close', () => resolve()));
    const load = {
      number: this.all.length + 1,
      id,
      kind,
      process: from,
      version: this.truth(id) - (this.lagging ? 1 : 0),
      released,
      beganMs: sharedNow(),
      endedMs: Infinity,
      outcome: 'running' as Load['outcome'],
      async release(how: 'answer' | 'fail' = 'answer') {
        go(how);
        await over;
      },
    };
    response.once('close', () => {
      if (load.outcome === 'running') load.outcome = 'gone';
      go('fail');
    });
    this.all.push(load);
    const running = (this.running.get(id) ?? 0) + 1;
    this.running.set(id, running);
    this.most.set(id, Math.max(running, this.mostConcurrent(id)));
    const expecting = this.expecting.get(`${kind} ${id}`)?.shift();
    if (expecting) expecting(load);
    else append(this.arrived, `${kind} ${id}`, load);
    return load;
  }
}

export async function startOrigin(): Promise<Origin> {
  const server = createServer((request, response) => void origin.serve(request, response));
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0, backlog: 2_048 }, resolve));
  const origin = new Origin(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return origin;
}

function append<T>(lists: Map<string, T[]>, id: string, item: T): void {
  const list = lists.get(id);
  if (list) list.push(item);
  else lists.set(id, [item]);
}

function reply(response: ServerResponse, quote: Quote): Promise<void> {
  response.setHeader('content-type', 'application/json');
  return new Promise((resolve) => response.end(JSON.stringify(quote), resolve));
}
