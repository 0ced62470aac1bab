import { createConnection, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ArmedFault, type Fault, type FaultKind, type RequestMatch } from './proxy-fault.js';
import { commandName, FrameSplitter } from './resp.js';

export interface ProxyCounts {
  /** Connections accepted so far, those open now, and those of them that died half open and are not given up by the client yet. */
  readonly connections: number;
  readonly open: number;
  readonly dead: number;
  readonly bytesToServer: number;
  readonly bytesToClient: number;
  /** Requests forwarded, in all and by upper-cased command name: what the client sent, without what scripts call. */
  readonly requests: number;
  readonly commands: Readonly<Record<string, number>>;
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

interface Pair {
  readonly client: Socket;
  readonly upstream: Socket;
  /** Nothing passes any more, not even the end of the connection. */
  dead: boolean;
  /** Messages come over it. */
  subscribed: boolean;
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
  private readonly pairs = new Set<Pair>();
  private readonly rewrites = new Set<readonly [find: Buffer, replace: Buffer]>();
  private swallowing = false;
  private faults: ArmedFault[] = [];
  private messageFaults: ArmedFault[] = [];
  private refusing = false;
  private tally = { connections: 0, bytesToServer: 0, bytesToClient: 0, requests: 0 };
  private commands: Record<string, number> = {};
  private uncounted: string | undefined;

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
    const dead = [...this.pairs].filter((pair) => pair.dead && !isGone(pair.client)).length;
    return { ...this.tally, open: this.pairs.size, dead, commands: { ...this.commands } };
  }

  resetCounts(): void {
    this.tally = { connections: 0, bytesToServer: 0, bytesToClient: 0, requests: 0 };
    this.commands = {};
  }

  /** Requests that hold this are forwarded as ever, and counted no more. */
  uncount(match: string): void {
    this.uncounted = match;
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

  /**
   * The other side vanishes without a word: from now on, every connection swallows what comes in either direction, and its end as well.
   * New connections are accepted and treated alike, until `up()`. What was swallowed is lost: connections of that time stay dead.
   */
  halfOpen(): void {
    this.swallowing = true;
    for (const pair of this.pairs) pair.dead = true;
  }

  /** Ends `down()` and `halfOpen()` for new connections. */
  up(): void {
    this.refusing = false;
    this.swallowing = false;
    for (const { client, upstream, dead } of this.pairs) if (dead && isGone(client)) upstream.destroy();
  }

  /** Puts other bytes of the same number in every answer and push that holds `find`, until the returned function is called. */
  rewrite(find: string, replace: string): () => void {
    const pair = [Buffer.from(find), Buffer.from(replace)] as const;
    if (pair[0].length !== pair[1].length || pair[0].length === 0) {
      throw new Error('What replaces it must have the same number of bytes, or the framing would break.');
    }
    this.rewrites.add(pair);
    return () => this.rewrites.delete(pair);
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

  /** Destroys the connections that have subscribed, and no other. */
  cutSubscribers(): void {
    for (const pair of this.subscribers()) {
      pair.client.destroy();
      pair.upstream.destroy();
      this.pairs.delete(pair);
    }
  }

  /** `halfOpen()` for the connections that have subscribed; new ones are served. */
  halfOpenSubscribers(): void {
    for (const pair of this.subscribers()) pair.dead = true;
  }

  /** Loses messages to subscribers, while their connections stand and everything else passes. */
  loseMessages(match: RequestMatch, times = Infinity): Fault {
    return this.armForMessages('lose-message', match, times);
  }

  /** Keeps a message to a subscriber (and all later ones) back until `release()`. */
  holdMessages(match: RequestMatch, times = 1): Fault {
    return this.armForMessages('hold-message', match, times);
  }

  /** Closes everything; nothing of the proxy remains. */
  async stop(): Promise<void> {
    for (const fault of [...this.faults, ...this.messageFaults]) fault.release();
    this.resume();
    this.down();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }

  private arm(kind: FaultKind, match: RequestMatch, times: number): Fault {
    const fault = new ArmedFault(kind, match, times);
    this.faults.push(fault);
    return fault;
  }

  private armForMessages(kind: FaultKind, match: RequestMatch, times: number): Fault {
    const fault = new ArmedFault(kind, match, times);
    this.messageFaults.push(fault);
    return fault;
  }

  private subscribers(): Pair[] {
    return [...this.pairs].filter(({ subscribed }) => subscribed);
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
    const upstream = createConnection({ host: '127.0.0.1', port: this.targetPort, allowHalfOpen: true });
    const pair: Pair = { client, upstream, dead: this.swallowing, subscribed: false };
    this.pairs.add(pair);
    this.tally.connections += 1;
    const close = (): void => {
      client.destroy();
      upstream.destroy();
      this.pairs.delete(pair);
    };
    const onClose = (): void => {
      // Whoever is left of a dead connection is not told.
      if (!pair.dead || (isGone(client) && (isGone(upstream) || !this.swallowing))) close();
    };
    for (const socket of [client, upstream]) {
      socket.setNoDelay(true).on('error', onClose).on('close', onClose);
      socket.on('end', () => (pair.dead ? onClose() : socket.end()));
    }

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
      if (pair.dead || upstream.destroyed) return;
      unanswered.push(fault?.kind === 'hold-request' ? undefined : fault);
      if (commandName(frame) === 'SUBSCRIBE') pair.subscribed = true;
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
      const onMessage = pair.subscribed ? this.messageFaults.find((one) => one.claims(frame)) : undefined;
      onMessage?.strike();
      if (onMessage?.kind === 'lose-message') return;
      await onMessage?.released;
      if (pair.dead || client.destroyed) return;
      this.tally.bytesToClient += frame.length;
      client.write(this.rewritten(frame));
    };
  }

  private rewritten(frame: Buffer): Buffer {
    let bytes = frame;
    for (const [find, replace] of this.rewrites) {
      for (let at = bytes.indexOf(find); at !== -1; at = bytes.indexOf(find, at + find.length)) {
        if (bytes === frame) bytes = Buffer.from(frame);
        replace.copy(bytes, at);
      }
    }
    return bytes;
  }

  private count(request: Buffer): void {
    if (this.uncounted !== undefined && request.includes(this.uncounted)) return;
    const name = commandName(request);
    this.tally.requests += 1;
    this.tally.bytesToServer += request.length;
    this.commands[name] = (this.commands[name] ?? 0) + 1;
  }
}

function isGone(socket: Socket): boolean {
  return socket.destroyed || socket.readableEnded;
}

/** Starts a proxy on a free loopback port in front of `targetPort`. */
export async function startProxy(targetPort: number): Promise<TcpProxy> {
  // The end of a connection is passed on by us, or swallowed.
  const server = createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port: 0 }, () => resolve());
  });
  return new TcpProxy(server, targetPort);
}
