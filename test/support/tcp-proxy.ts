import { createConnection, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { commandName, FrameSplitter } from './resp.js';

/** Which requests a fault applies to: those whose bytes contain the text, or for which the function says yes. */
export type RequestMatch = string | ((request: Buffer) => boolean);

/** A fault that waits for its request. */
export interface Fault {
  /** Resolves when the fault has struck (for the first time): the reply was swallowed, or the message is being held. */
  readonly struck: Promise<void>;
  /** How often it has struck. */
  readonly count: number;
  /** Takes the fault away; whatever it holds goes on its way. */
  release(): void;
}

export interface ProxyCounts {
  /** Connections accepted so far, and those open now. */
  readonly connections: number;
  readonly open: number;
  readonly bytesToServer: number;
  readonly bytesToClient: number;
  /** Requests forwarded, in all and by upper-cased command name: what the client sent, without what scripts call. */
  readonly requests: number;
  readonly commands: Readonly<Record<string, number>>;
}

type FaultKind = 'lose-reply' | 'hold-reply' | 'hold-request';

class ArmedFault implements Fault {
  readonly struck: Promise<void>;
  readonly released: Promise<void>;
  count = 0;
  active = true;
  private markStruck!: () => void;
  private markReleased!: () => void;

  constructor(
    readonly kind: FaultKind,
    private readonly match: RequestMatch,
    private times: number,
  ) {
    this.struck = new Promise((resolve) => (this.markStruck = resolve));
    this.released = new Promise((resolve) => (this.markReleased = resolve));
  }

  /** Claims the request for this fault; each claim uses up one of `times`. */
  claims(request: Buffer): boolean {
    if (!this.active || this.times <= 0) return false;
    if (!(typeof this.match === 'string' ? request.includes(this.match) : this.match(request))) return false;
    this.times -= 1;
    return true;
  }

  strike(): void {
    this.count += 1;
    this.markStruck();
  }

  release(): void {
    this.active = false;
    this.markReleased();
  }
}

/** One direction of a connection: handles frames strictly in order, each not before it is due and never while hung. */
class Lane {
  private tail: Promise<void> = Promise.resolve();

  constructor(
    private readonly proxy: TcpProxy,
    private readonly direction: 'request' | 'reply',
  ) {}

  push(handle: () => void | Promise<void>): void {
    const due = performance.now() + this.proxy.delayOf(this.direction);
    this.tail = this.tail.then(async () => {
      const wait = due - performance.now();
      if (wait > 0) await sleep(wait);
      while (this.proxy.hung) await this.proxy.hung;
      await handle();
    });
  }
}

/**
 * A proxy between a client and Redis that can be told to misbehave. It understands the framing of RESP, so that it can
 * lose or hold the reply to one particular request, and no other. Replies are matched to requests by their order: do not
 * lose or hold replies on a connection that is subscribed over RESP2, where messages arrive unasked.
 */
export class TcpProxy {
  hung: Promise<void> | undefined;
  private unhang: (() => void) | undefined;
  private readonly delays = { request: 0, reply: 0 };
  private readonly pairs = new Set<{ client: Socket; upstream: Socket }>();
  private faults: ArmedFault[] = [];
  private refusing = false;
  private tally = { connections: 0, bytesToServer: 0, bytesToClient: 0, requests: 0 };
  private commands: Record<string, number> = {};

  constructor(
    private readonly server: Server,
    private readonly targetPort: number,
  ) {
    server.on('connection', (client) => this.connect(client));
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** What has passed so far. */
  get counts(): ProxyCounts {
    return { ...this.tally, open: this.pairs.size, commands: { ...this.commands } };
  }

  resetCounts(): void {
    this.tally = { connections: 0, bytesToServer: 0, bytesToClient: 0, requests: 0 };
    this.commands = {};
  }

  /** Destroys every open connection; new ones are accepted. */
  cut(): void {
    for (const { client, upstream } of this.pairs) {
      client.destroy();
      upstream.destroy();
    }
    this.pairs.clear();
  }

  /** Destroys every connection and turns new ones away, until `up()`. */
  down(): void {
    this.refusing = true;
    this.cut();
  }

  up(): void {
    this.refusing = false;
  }

  /** Stops forwarding in both directions without closing anything; new connections are accepted and get no answer. */
  hang(): void {
    this.hung ??= new Promise((resolve) => (this.unhang = resolve));
  }

  /** Ends `hang()`: what has piled up is delivered, in order. */
  resume(): void {
    this.hung = undefined;
    this.unhang?.();
  }

  /** Delays every reply (or request) from now on by `ms`; pipelined messages share the delay. */
  delay(ms: number, direction: 'request' | 'reply' = 'reply'): void {
    this.delays[direction] = ms;
  }

  delayOf(direction: 'request' | 'reply'): number {
    return this.delays[direction];
  }

  /**
   * "Executed, but the answer was lost": forwards the matching request, and when the server's reply to it arrives destroys
   * the connection instead of forwarding it. Replies to earlier requests still get through. `times`: how many requests.
   */
  loseReplyOf(match: RequestMatch, times = 1): Fault {
    return this.arm('lose-reply', match, times);
  }

  /** `loseReplyOf` for whatever comes next, or for the next request that the predicate accepts. */
  dropReplies(predicate: (request: Buffer) => boolean = () => true): Fault {
    return this.loseReplyOf(predicate);
  }

  /** Lets the server execute the matching request, but keeps its reply (and all later ones) back until `release()`. */
  holdReplyOf(match: RequestMatch, times = 1): Fault {
    return this.arm('hold-reply', match, times);
  }

  /** Keeps the matching request (and all later ones of its connection) back until `release()`: a command that arrives late. */
  holdRequest(match: RequestMatch, times = 1): Fault {
    return this.arm('hold-request', match, times);
  }

  /** Closes everything; nothing of the proxy remains. */
  async stop(): Promise<void> {
    for (const fault of this.faults) fault.release();
    this.resume();
    this.down();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }

  private arm(kind: FaultKind, match: RequestMatch, times: number): Fault {
    const fault = new ArmedFault(kind, match, times);
    this.faults.push(fault);
    return fault;
  }

  private claim(request: Buffer): ArmedFault | undefined {
    this.faults = this.faults.filter((fault) => fault.active);
    return this.faults.find((fault) => fault.claims(request));
  }

  private connect(client: Socket): void {
    if (this.refusing) {
      client.destroy();
      return;
    }
    const upstream = createConnection({ host: '127.0.0.1', port: this.targetPort });
    const pair = { client, upstream };
    this.pairs.add(pair);
    this.tally.connections += 1;
    const close = (): void => {
      client.destroy();
      upstream.destroy();
      this.pairs.delete(pair);
    };
    for (const socket of [client, upstream]) socket.setNoDelay(true).on('error', close).on('close', close);

    /** Sent and not answered yet, oldest first, each with the fault that will strike its reply. */
    const unanswered: (ArmedFault | undefined)[] = [];

    const requests = new FrameSplitter();
    const toServer = new Lane(this, 'request');
    client.on('data', (chunk) => {
      for (const frame of requests.push(chunk)) toServer.push(() => forwardRequest(frame));
    });
    const forwardRequest = async (frame: Buffer): Promise<void> => {
      const fault = this.claim(frame);
      if (fault?.kind === 'hold-request') {
        fault.strike();
        await fault.released;
      }
      if (upstream.destroyed) return;
      unanswered.push(fault?.kind === 'hold-request' ? undefined : fault);
      this.count(frame);
      upstream.write(frame);
    };

    const replies = new FrameSplitter();
    const toClient = new Lane(this, 'reply');
    upstream.on('data', (chunk) => {
      for (const frame of replies.push(chunk)) toClient.push(() => forwardReply(frame));
    });
    const forwardReply = async (frame: Buffer): Promise<void> => {
      // A RESP3 push ('>') answers no request.
      const fault = frame[0] === 0x3e ? undefined : unanswered.shift();
      if (fault?.active) {
        fault.strike();
        if (fault.kind === 'lose-reply') {
          close();
          return;
        }
        await fault.released;
      }
      if (client.destroyed) return;
      this.tally.bytesToClient += frame.length;
      client.write(frame);
    };
  }

  private count(request: Buffer): void {
    const name = commandName(request);
    this.tally.requests += 1;
    this.tally.bytesToServer += request.length;
    this.commands[name] = (this.commands[name] ?? 0) + 1;
  }
}

/** Starts a proxy on a free loopback port in front of `targetPort`. */
export async function startProxy(targetPort: number): Promise<TcpProxy> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port: 0 }, () => resolve());
  });
  return new TcpProxy(server, targetPort);
}
