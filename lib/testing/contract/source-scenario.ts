import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import type { PublishedEvent } from '../../core/domain-event.js';
import type { Delivery, EventSink, EventSource, Verdict } from '../../core/event-source.js';

/** What the suite needs of an adapter's test. */
export interface EventSourceHarness {
  /** One source that is not open, and has nothing to deliver. Every case calls this once. */
  create(): Promise<EventSource>;
  /** A further one that is not open, on the events of the last `create`, as another process has it. */
  another(): Promise<EventSource>;
  /** Publishes to those that are open; to `shared` ones also while none is. */
  publish(events: readonly PublishedEvent[]): Promise<void>;
  /** How often a `shared` source tries an event before it puts it aside, at least 2. */
  readonly maxTries?: number;
}

export interface EventSourceCase {
  readonly name: string;
  readonly run: (harness: EventSourceHarness) => Promise<void>;
}

const PATIENCE_MS = 10_000;
/** For what must not come. */
const QUIET_MS = 400;

export const DONE: Verdict = { kind: 'done', outcome: 'applied' };

/** Listens as the engine does, and answers what a case says. */
export class Listener implements EventSink {
  readonly types = ['changed'];
  readonly deliveries: Delivery[] = [];
  readonly dead: { readonly event: unknown; readonly reason: string }[] = [];
  readonly lags: number[] = [];
  readonly losses: string[] = [];
  readonly troubles: unknown[] = [];
  closed = false;
  late = 0;
  /** By an event's id: what becomes of it, each time that it is delivered. */
  answer: (id: string, tries: number) => Verdict | Promise<Verdict> = () => DONE;

  async deliver(deliveries: readonly Delivery[]): Promise<readonly Verdict[]> {
    if (this.closed) this.late++;
    this.deliveries.push(...deliveries);
    return Promise.all(deliveries.map(async ({ event, tries }) => this.answer(idOf(event), tries)));
  }

  async lost(reason: string): Promise<void> {
    this.losses.push(reason);
  }

  async giveUp(): Promise<void> {}

  deadLettered(event: unknown, reason: string): void {
    this.dead.push({ event, reason });
  }

  lag(ms: number): void {
    this.lags.push(ms);
  }

  trouble(error: unknown): void {
    this.troubles.push(error);
  }

  /** The ids of all that was delivered, in order. */
  get ids(): string[] {
    return this.deliveries.map(({ event }) => idOf(event));
  }

  triesOf(id: string): number[] {
    return this.deliveries.filter(({ event }) => idOf(event) === id).map(({ tries }) => tries);
  }
}

export interface Opened {
  readonly source: EventSource;
  readonly listener: Listener;
}

export async function opened(source: EventSource, answer?: Listener['answer']): Promise<Opened> {
  const listener = new Listener();
  if (answer) listener.answer = answer;
  await source.open(listener);
  return { source, listener };
}

export async function closed(...all: readonly Opened[]): Promise<void> {
  await Promise.all(all.map(({ source }) => source.close()));
  for (const { listener } of all) listener.closed = true;
}

export function eventOf(id: string): PublishedEvent {
  return { id, source: '/contract', type: 'changed', subject: id, data: { of: id } };
}

export function events(...ids: readonly string[]): PublishedEvent[] {
  return ids.map(eventOf);
}

export async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!holds()) {
    assert.ok(performance.now() < deadline, `${what}, within ${PATIENCE_MS} ms`);
    await setTimeout(5);
  }
}

/** Lets pass what would have been the time for something that must not come. */
export function quiet(): Promise<void> {
  return setTimeout(QUIET_MS);
}

/** Holds back an answer until `open` is called. */
export class Gate {
  open: () => void = () => {};
  readonly opened = new Promise<void>((resolve) => (this.open = resolve));
}

function idOf(event: unknown): string {
  return String((event as { id?: unknown }).id);
}
