import 'reflect-metadata';
import { Module, type DynamicModule, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Agent, request, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { CacheGuard, CacheGuardModule, type CacheGuardEvent } from 'nestjs-cache-guard';
import { serve } from '../../support/worker-main.js';
import type {
  OutageOptions,
  OutageRead,
  OutageReport,
  OutageWrite,
  TrafficOptions,
} from '../support/outage-protocol.js';
import type { Quote } from '../support/protocol.js';
import { sharedNow } from '../support/time.js';

const STALL_MS = 50;

const agent = new Agent({ keepAlive: true });

@Module({})
class AppModule {
  static of({ namespace, redis, domains, commandTimeout }: OutageOptions): DynamicModule {
    const connection = 'url' in redis ? { redisUrl: redis.url } : { redis: { ...redis, role: 'master' as const } };
    return {
      module: AppModule,
      imports: [CacheGuardModule.forRoot({ namespace, ...connection, domains, commandTimeout })],
    };
  }
}

let context: INestApplicationContext | undefined;
let guard: CacheGuard;
let options: OutageOptions;
let report: OutageReport;
const running = new Map<string, number>();
let traffic: { stopped: boolean; done: Promise<unknown> } | undefined;
let watches: { state: string; resolve(): void }[] = [];

async function boot(given: OutageOptions): Promise<void> {
  await shutDown();
  options = given;
  report = {
    process: given.name,
    reads: [],
    loads: {},
    mostAtOnce: {},
    stalls: [],
    states: [],
    pending: 0,
    carriedOut: 0,
  };
  context = await NestFactory.createApplicationContext(AppModule.of(given), { logger: false });
  guard = context.get(CacheGuard);
  guard.on(note);
}

async function shutDown(): Promise<void> {
  if (traffic) traffic.stopped = true;
  await traffic?.done;
  await context?.close();
  agent.destroy();
  traffic = context = undefined;
}

function note(event: CacheGuardEvent): void {
  if (event.type === 'store-state') report.states.push({ state: event.state, atMs: sharedNow() });
  if (event.type === 'invalidation' && event.outcome === 'pending') report.pending += event.count;
  if (event.type === 'invalidation' && event.outcome === 'carried-out') report.carriedOut += event.count;
  watches = watches.filter((watch) => {
    const isMeant = event.type === 'store-state' && event.state === watch.state;
    if (isMeant) watch.resolve();
    return !isMeant;
  });
}

async function ask(method: string, id: string, signal?: AbortSignal): Promise<Quote> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const url = `${options.origin}/${id}?process=${options.name}`;
    request(url, { method, agent, ...(signal && { signal }) }, resolve)
      .on('error', reject)
      .end();
  });
  const quote = JSON.parse(await text(response)) as Quote;
  if (response.statusCode !== 200) throw new Error('the origin failed');
  return quote;
}

async function load(domain: string, id: string, signal: AbortSignal): Promise<Quote> {
  const now = (running.get(domain) ?? 0) + 1;
  running.set(domain, now);
  report.mostAtOnce[domain] = Math.max(report.mostAtOnce[domain] ?? 0, now);
  report.loads[domain] = (report.loads[domain] ?? 0) + 1;
  try {
    return await ask('GET', id, signal);
  } finally {
    running.set(domain, running.get(domain)! - 1);
  }
}

async function read(domain: string, id: string): Promise<void> {
  const base = { domain, id, startedMs: sharedNow() };
  const made: Omit<OutageRead, 'endedMs'> = await guard
    .trace(() => guard.getOrLoad<Quote>({ domain, key: id }, ({ signal }) => load(domain, id, signal)))
    .then(
      ({ value, served }) => ({ ...base, state: served.at(-1)?.state ?? 'uncached', version: value.version }),
      (error: Error & { code?: string }) => ({ ...base, failure: error.code ?? error.message }),
    );
  report.reads.push({ ...made, endedMs: sharedNow() });
}

async function flow({ ids, domains, everyMs }: TrafficOptions, state: { stopped: boolean }): Promise<void> {
  const under = new Set<Promise<void>>();
  const from = performance.now();
  const watch = watchForStalls();
  for (let turn = 0; !state.stopped; turn++) {
    const one = read(domains[turn % domains.length]!, ids[Math.floor(turn / domains.length) % ids.length]!);
    under.add(one);
    void one.then(() => under.delete(one));
    // Whatever the timer is late by is caught up with, so that the rate holds.
    await pause(Math.max(0, from + (turn + 1) * everyMs - performance.now()));
  }
  await Promise.all(under);
  clearInterval(watch);
}

/** Whatever keeps this process from its work is not the library's doing. */
function watchForStalls(): NodeJS.Timeout {
  let lastMs = sharedNow();
  return setInterval(() => {
    const nowMs = sharedNow();
    if (nowMs - lastMs > STALL_MS) report.stalls.push({ fromMs: lastMs, toMs: nowMs });
    lastMs = nowMs;
  }, 5);
}

serve({
  boot,

  close: shutDown,

  /** Reads at a fixed rate until `stop`, whatever becomes of the reads. */
  start: (given: TrafficOptions): void => {
    const state = { stopped: false };
    traffic = Object.assign(state, { done: flow(given, state) });
  },

  /** What has happened since `boot`. */
  stop: async (): Promise<OutageReport> => {
    traffic!.stopped = true;
    await traffic!.done;
    return report;
  },

  /** Changes the truth and invalidates what each domain has of it. */
  write: async (id: string): Promise<OutageWrite> => {
    const { version } = await ask('POST', id);
    const domains = Object.keys(options.domains);
    const outcomes = await Promise.all(domains.map((domain) => guard.invalidate({ domain, key: id })));
    const pending = outcomes.some(({ outcome }) => outcome === 'pending');
    return { process: options.name, id, version, resolvedMs: sharedNow(), pending };
  },

  /** Resolves when the store has come to that state since the given time. */
  state: (state: string, sinceMs: number): Promise<void> =>
    new Promise((resolve) => {
      if (report.states.some((one) => one.state === state && one.atMs > sinceMs)) resolve();
      else watches.push({ state, resolve });
    }),
});
