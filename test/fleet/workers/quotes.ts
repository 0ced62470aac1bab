import 'reflect-metadata';
import { Inject, Injectable, Module, type DynamicModule, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Cluster } from 'ioredis';
import { Agent, request, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import {
  CacheGuard,
  Cached,
  CacheGuardModule,
  Invalidates,
  loadContext,
  Refreshes,
  type CacheGuardEvent,
  type CacheGuardModuleOptions,
  type InvalidationMode,
} from 'nestjs-cache-guard';
import { serve } from '../../support/worker-main.js';
import type {
  Answers,
  AppOptions,
  EventFilter,
  FloodResult,
  LoopOptions,
  Quote,
  ReadMethod,
  ReadRecord,
  WriteLoopOptions,
  WriteMethod,
  WriteRecord,
} from '../support/protocol.js';
import { sharedNow } from '../support/time.js';

const APP = Symbol('app');
const key = (id: string): string => id;
const tags = (id: string): string[] => [`book:${id}`];
/** Such keys are legible in the store, and so in the events. */
const LEGIBLE = /^[A-Za-z0-9_.-]{1,24}$/;

const agent = new Agent({ keepAlive: true });

/** A bank's quotes, whose source is the origin in the test's process. */
@Injectable()
class Quotes {
  constructor(@Inject(APP) private readonly options: AppOptions) {}

  @Cached({ domain: 'quotes', key, tags })
  read(id: string): Promise<Quote> {
    return this.ask('GET', id);
  }

  @Cached({ domain: 'quotes', name: 'versioned', key, tags })
  async readVersioned(id: string): Promise<Quote> {
    const quote = await this.ask('GET', id);
    loadContext().setVersion(BigInt(quote.version));
    return quote;
  }

  @Invalidates({ domain: 'quotes', key })
  @Invalidates({ domain: 'quotes', name: 'versioned', key })
  write(id: string): Promise<Quote> {
    return this.ask('POST', id);
  }

  @Invalidates({ domain: 'quotes', tags })
  writeBook(id: string): Promise<Quote> {
    return this.ask('POST', id);
  }

  @Invalidates({ domain: 'quotes', all: true })
  writeAll(id: string): Promise<Quote> {
    return this.ask('POST', id);
  }

  @Refreshes({ domain: 'quotes', key, tags })
  rebuild(id: string): Promise<Quote> {
    return this.ask('PUT', id);
  }

  private async ask(method: string, id: string): Promise<Quote> {
    const url = `${this.options.origin}/${id}?process=${this.options.name}`;
    const { signal } = loadContext();
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request(url, { method, agent, signal }, resolve).on('error', reject).end();
    });
    const quote = JSON.parse(await text(response)) as Quote;
    if (response.statusCode !== 200) throw new Error(`the origin failed (load ${quote.load})`);
    return quote;
  }
}

@Module({})
class AppModule {
  static of(options: AppOptions, guard: CacheGuardModuleOptions): DynamicModule {
    return {
      module: AppModule,
      imports: [CacheGuardModule.forRoot(guard)],
      providers: [{ provide: APP, useValue: options }, Quotes],
    };
  }
}

interface Running {
  readonly options: AppOptions;
  readonly context: INestApplicationContext;
  readonly guard: CacheGuard;
  readonly quotes: Quotes;
  readonly ownClient: Cluster | undefined;
}

interface Watch {
  readonly filter: EventFilter;
  left: number;
  resolve(): void;
}

let running: Running | undefined;
let events: CacheGuardEvent[] = [];
let watches: Watch[] = [];
const crowds = new Map<number, Promise<Answers>>();
const loops = new Set<{ stopped: boolean; readonly done: Promise<unknown> }>();

async function boot(options: AppOptions): Promise<void> {
  await shutDown();
  events = [];
  const { redis } = options;
  const ownClient = redis && 'cluster' in redis ? new Cluster([...redis.cluster], { lazyConnect: true }) : undefined;
  const module = AppModule.of(options, {
    namespace: options.namespace,
    ...(ownClient && { existingClient: ownClient }),
    ...(redis && 'url' in redis && { redisUrl: redis.url }),
    domains: { quotes: options.policy },
    enabled: options.guarded ?? true,
  });
  const context = await NestFactory.createApplicationContext(module, { logger: false });
  const guard = context.get(CacheGuard);
  guard.on(note);
  running = { options, context, guard, quotes: context.get(Quotes), ownClient };
}

async function shutDown(): Promise<void> {
  for (const loop of loops) loop.stopped = true;
  await running?.context.close();
  running?.ownClient?.disconnect();
  agent.destroy();
  running = undefined;
}

function app(): Running {
  if (!running) throw new Error('This process has no application.');
  return running;
}

function note(event: CacheGuardEvent): void {
  events.push(event);
  watches = watches.filter((watch) => {
    if (isMeant(event, watch.filter)) watch.left -= 1;
    if (watch.left === 0) watch.resolve();
    return watch.left > 0;
  });
}

function isMeant(event: CacheGuardEvent, { id, ...fields }: EventFilter): boolean {
  if (id !== undefined && !LEGIBLE.test(id)) throw new Error(`Give the quote a shorter name than '${id}'.`);
  const alike = Object.entries(fields).every(([field, value]) => event[field as keyof CacheGuardEvent] === value);
  return alike && (id === undefined || ('key' in event && event.key.endsWith(`:s.${id}`)));
}

function countOf(filter: EventFilter): number {
  return events.filter((event) => isMeant(event, filter)).length;
}

async function readInto(answers: Answers, instances: unknown[], method: ReadMethod, id: string): Promise<void> {
  const { guard, quotes, options } = app();
  const base = { process: options.name, id, startedMs: sharedNow() };
  try {
    const { value, served } = await guard.trace(() => quotes[method](id));
    const state: ReadRecord['state'] = served[0]?.state ?? 'uncached';
    answers.reads.push({ ...base, endedMs: sharedNow(), state, version: value.version, load: value.load });
  } catch (error) {
    const endedMs = sharedNow();
    if (!instances.includes(error)) instances.push(error);
    const { message, code } = error as Error & { code?: string };
    answers.failures.push({ ...base, endedMs, message, code, instance: instances.indexOf(error) });
  }
}

async function crowdOf(id: string, readers: number, method: ReadMethod): Promise<Answers> {
  const answers: Answers = { reads: [], failures: [] };
  const instances: unknown[] = [];
  await Promise.all(Array.from({ length: readers }, () => readInto(answers, instances, method, id)));
  return answers;
}

async function flood(prefix: string, first: number, count: number): Promise<FloodResult> {
  const { quotes } = app();
  const codes: Record<string, number> = {};
  let longestMs = 0;
  let values = 0;
  const read = async (id: string): Promise<void> => {
    const startedMs = sharedNow();
    try {
      await quotes.read(id);
      values++;
    } catch (error) {
      const { code, message } = error as Error & { code?: string };
      codes[code ?? message] = (codes[code ?? message] ?? 0) + 1;
    }
    longestMs = Math.max(longestMs, sharedNow() - startedMs);
  };
  await Promise.all(Array.from({ length: count }, (_, n) => read(`${prefix}.${first + n}`)));
  return { values, codes, longestMs };
}

async function storeAnswers(): Promise<boolean> {
  return (await app().guard.explain({ domain: 'quotes', key: 'any' })).store === 'answered';
}

function startLoop<T>(run: (loop: { stopped: boolean }) => Promise<T>): Promise<T> {
  const state = { stopped: false };
  const done = run(state);
  const loop = Object.assign(state, { done });
  loops.add(loop);
  const forget = () => loops.delete(loop);
  done.then(forget, forget);
  return done;
}

serve({
  boot,

  close: shutDown,

  /** Starts `readers` reads in one turn; resolves when all have begun. `answers` gives what they got. */
  launch: (crowd: number, id: string, readers: number, method: ReadMethod = 'read') => {
    crowds.set(crowd, crowdOf(id, readers, method));
  },

  answers: async (crowd: number): Promise<Answers> => {
    const answers = await crowds.get(crowd)!;
    crowds.delete(crowd);
    return answers;
  },

  write: async (method: WriteMethod, id: string): Promise<WriteRecord> => {
    const { version } = await app().quotes[method](id);
    return { id, version, resolvedMs: sharedNow() };
  },

  rebuild: async (id: string): Promise<WriteRecord> => {
    const { version } = await app().quotes.rebuild(id);
    return { id, version, resolvedMs: sharedNow() };
  },

  invalidate: (id: string, mode: InvalidationMode, name?: string) =>
    app().guard.invalidate({ domain: 'quotes', key: id, mode, ...(name !== undefined && { name }) }),

  /** Resolves when what is cached is past its soft TTL. */
  expired: async (id: string): Promise<void> => {
    for (;;) {
      const { decision, entry } = await app().guard.explain({ domain: 'quotes', key: id });
      if (decision !== 'serve-fresh') return;
      await pause(entry!.softInMs);
    }
  },

  /** Every reader reads again as soon as he was answered, one id after the other. */
  readLoop: ({ ids, readers, times = Infinity, pauseMs = 0, method = 'read' }: LoopOptions): Promise<Answers> =>
    startLoop(async (loop) => {
      const answers: Answers = { reads: [], failures: [] };
      const instances: unknown[] = [];
      const reader = async (number: number): Promise<void> => {
        for (let turn = 0; turn < times && !loop.stopped; turn++) {
          await readInto(answers, instances, method, ids[(number + turn) % ids.length]!);
          await pause(pauseMs);
        }
      };
      await Promise.all(Array.from({ length: readers }, (_, number) => reader(number)));
      return answers;
    }),

  flood,

  writeLoop: ({ ids, method, pauseMs }: WriteLoopOptions): Promise<WriteRecord[]> =>
    startLoop(async (loop) => {
      const writes: WriteRecord[] = [];
      for (let turn = 0; !loop.stopped; turn++) {
        const id = ids[turn % ids.length]!;
        const { version } = await app().quotes[method](id);
        writes.push({ id, version, resolvedMs: sharedNow() });
        await pause(pauseMs);
      }
      return writes;
    }),

  stopLoops: async (): Promise<void> => {
    for (const loop of loops) loop.stopped = true;
    await Promise.all([...loops].map(({ done }) => done));
  },

  /** Resolves once the store answers this process. */
  storeAnswers: async (): Promise<void> => {
    while (!(await storeAnswers())) await pause(5);
  },

  count: countOf,

  /** Resolves when at least `count` such events have come since the application was booted. */
  seen: (filter: EventFilter, count = 1): Promise<void> =>
    new Promise((resolve) => {
      const left = count - countOf(filter);
      if (left <= 0) resolve();
      else watches.push({ filter, left, resolve });
    }),
});
