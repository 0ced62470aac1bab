import type { Signal, Store } from '../../../lib/core/store.js';
import type { Random } from './random.js';
import type { Server } from './server.js';
import type { ProcessClock, Timeline } from './timeline.js';

/** What a network does to messages, one way. */
export interface Weather {
  readonly leastMs: number;
  readonly mostMs: number;
  /** Shares of the requests and replies that are lost, and of the requests that arrive twice. */
  readonly lost: number;
  readonly doubled: number;
}

/** One command on its way. */
export interface Sent {
  readonly connection: number;
  /** Whether the reply is still of interest. */
  open: boolean;
}

type Way = 'commands' | 'signals';

/** A new connection is tried this often. */
const RETRY_MS = 50;

interface Connection {
  /** Grows with every new connection. */
  number: number;
  up: boolean;
  /** Nothing comes through, and nobody is told. */
  silent: boolean;
  /** How many faults keep a new connection from being made. */
  bars: number;
  retrying: boolean;
  /** It is gone, but its process has not heard of that yet. */
  closing: boolean;
  outAt: number;
  inAt: number;
}

/** What one process is connected with: a connection for commands and one for signals, each in order, neither waiting for the other. */
export class Link {
  private readonly ways: Record<Way, Connection> = { commands: closed(), signals: closed() };
  private ended = false;
  onUp: (way: Way) => void = () => {};
  onDown: (way: Way) => void = () => {};
  onSignal: (signal: Signal) => void = () => {};

  constructor(
    readonly process: string,
    private readonly server: Server,
    private readonly timeline: Timeline,
    private readonly clock: ProcessClock,
    private readonly random: Random,
    public weather: Weather,
  ) {}

  isUp(way: Way): boolean {
    return this.ways[way].up;
  }

  get connection(): number {
    return this.ways.commands.number;
  }

  /** Connects, and does so again whenever a connection was lost. */
  open(): void {
    this.connect('commands');
    this.connect('signals');
  }

  close(): void {
    this.ended = true;
    this.server.ears.delete(this.process);
    for (const way of ['commands', 'signals'] as const) this.ways[way].up = false;
  }

  /** `arrive` runs at the server, perhaps twice, perhaps never. */
  send(arrive: (store: Store) => void): void {
    const way = this.ways.commands;
    const { lost, doubled } = this.weather;
    const times = this.random.chance(doubled) ? 2 : 1;
    for (let time = 0; time < times; time++) {
      const isLost = this.random.chance(lost) || way.silent;
      way.outAt = Math.max(way.outAt, this.timeline.monotonic() + this.delay());
      if (isLost) continue;
      const { incarnation } = this.server;
      this.timeline.schedule(way.outAt - this.timeline.monotonic(), () => {
        // A connection that was cut may still deliver what was on its way; one to a server that died does not.
        if (incarnation === this.server.incarnation && !way.silent) this.server.execute(arrive);
      });
    }
  }

  /** Brings a reply back, unless its connection is gone by then. */
  reply(sent: Sent, receive: () => void): void {
    const way = this.ways.commands;
    if (sent.connection !== way.number || way.silent || this.random.chance(this.weather.lost)) return;
    way.inAt = Math.max(way.inAt, this.timeline.monotonic() + this.delay());
    this.timeline.schedule(way.inAt - this.timeline.monotonic(), () => {
      if (sent.connection === way.number && way.up && !way.silent) this.clock.deliver(receive);
    });
  }

  /** The connection is reset, and not made again before `mend`. */
  cut(way: Way): void {
    this.ways[way].bars++;
    this.reset(way);
  }

  /** Nothing comes through any more, in silence. */
  silence(way: Way): void {
    this.ways[way].bars++;
    this.ways[way].silent = true;
  }

  mend(way: Way): void {
    const connection = this.ways[way];
    // What was lost in a silent connection is lost for good: TCP gives it up.
    if (--connection.bars === 0 && connection.silent) this.reset(way);
  }

  /** The server at the other end has died; a silent connection does not hear even of that. */
  lose(way: Way): void {
    if (!this.ways[way].silent) this.reset(way);
  }

  /** Closes the connection; the process hears of it. */
  reset(way: Way): void {
    const connection = this.ways[way];
    if (way === 'signals') this.server.ears.delete(this.process);
    connection.silent = false;
    if (!connection.up) return this.retry(way);
    connection.up = false;
    connection.closing = true;
    connection.number++;
    this.timeline.schedule(this.delay(), () =>
      this.clock.deliver(() => {
        connection.closing = false;
        if (!this.ended) this.onDown(way);
        this.retry(way);
      }),
    );
  }

  private connect(way: Way): void {
    const connection = this.ways[way];
    if (this.ended || connection.up || connection.closing) return;
    if (connection.bars > 0 || connection.silent || !this.server.running) return this.retry(way);
    connection.up = true;
    const number = ++connection.number;
    if (way === 'signals') this.server.ears.set(this.process, (signal) => this.hear(number, signal));
    this.clock.deliver(() => connection.number === number && this.onUp(way));
  }

  private retry(way: Way): void {
    const connection = this.ways[way];
    if (connection.retrying || this.ended) return;
    connection.retrying = true;
    this.timeline.schedule(RETRY_MS + this.delay(), () =>
      this.clock.deliver(() => {
        connection.retrying = false;
        this.connect(way);
      }),
    );
  }

  private hear(number: number, signal: Signal): void {
    const way = this.ways.signals;
    if (way.silent) return;
    way.inAt = Math.max(way.inAt, this.timeline.monotonic() + this.delay());
    this.timeline.schedule(way.inAt - this.timeline.monotonic(), () => {
      if (way.number !== number || way.silent) return;
      this.clock.deliver(() => way.number === number && this.onSignal(signal));
    });
  }

  private delay(): number {
    const { leastMs, mostMs } = this.weather;
    return this.random.between(leastMs, mostMs);
  }
}

function closed(): Connection {
  return { number: 0, up: false, silent: false, bars: 0, retrying: false, closing: false, outAt: 0, inAt: 0 };
}
