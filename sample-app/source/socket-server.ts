import { createServer, type Server, type Socket } from 'node:net';
import type { PGlite } from '@electric-sql/pglite';
import type { Turns } from './turns.js';

const SSL_REQUEST = 80_877_103;
const CANCEL_REQUEST = 80_877_102;
const code = (letter: string): number => letter.charCodeAt(0);
const [QUERY, SYNC, TERMINATE, READY, IDLE] = [code('Q'), code('S'), code('X'), code('Z'), code('I')];
/** A Query message. */
const ROLLBACK = Buffer.from('Q\0\0\0\x0drollback\0', 'latin1');

interface Client {
  readonly socket: Socket;
  /** Ends its turn; there while it has one. */
  endTurn?: (() => void) | undefined;
}

/**
 * Speaks Postgres' wire protocol on a Unix socket for an embedded Postgres, whose only session all clients share. For this
 * sample: each exchange up to its Sync is carried out as a whole, and who has begun a transaction keeps the others waiting.
 */
export class SocketServer {
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly postgres: PGlite,
    private readonly turns: Turns,
    private readonly server: Server,
  ) {
    server.on('connection', (socket) => this.talk(socket));
  }

  static async listen(postgres: PGlite, turns: Turns, path: string): Promise<SocketServer> {
    const server = createServer();
    const made = new SocketServer(postgres, turns, server);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, () => resolve());
    });
    return made;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }

  private talk(socket: Socket): void {
    const exchanges = new Exchanges();
    const client: Client = { socket };
    let queue = Promise.resolve();
    this.sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => {
      this.sockets.delete(socket);
      queue = queue.then(() => this.leave(client));
    });
    socket.on('data', (bytes) => {
      for (const exchange of exchanges.take(bytes)) queue = queue.then(() => this.answer(client, exchange));
    });
  }

  private async answer(client: Client, exchange: Exchange): Promise<void> {
    const { socket } = client;
    if (socket.destroyed) return;
    if (exchange === 'no-ssl') socket.write('N');
    else if (exchange === 'end') socket.end();
    else {
      try {
        client.endTurn ??= await this.turns.take();
        const reply = await this.postgres.execProtocolRaw(exchange);
        if (!isInTransaction(reply)) endTurn(client);
        socket.write(reply);
      } catch {
        // The embedded Postgres is closing; the client sees its connection end.
        socket.destroy();
      }
    }
  }

  /** Takes back what a client has left undone. */
  private async leave(client: Client): Promise<void> {
    if (!client.endTurn) return;
    await this.postgres.execProtocolRaw(ROLLBACK).catch(() => {});
    endTurn(client);
  }
}

function endTurn(client: Client): void {
  client.endTurn?.();
  client.endTurn = undefined;
}

/** Every exchange ends with a message that says in which state the session is. */
function isInTransaction(reply: Uint8Array): boolean {
  return reply.at(-6) === READY && reply.at(-1) !== IDLE;
}

type Exchange = Buffer | 'no-ssl' | 'end';

/** Cuts what a client sends into exchanges: the start-up message, then runs of messages that end with a Query or a Sync. */
class Exchanges {
  private bytes: Buffer = Buffer.alloc(0);
  /** How far the bytes have been read as whole messages. */
  private seen = 0;
  private started = false;

  *take(more: Buffer): Generator<Exchange> {
    this.bytes = Buffer.concat([this.bytes, more]);
    for (;;) {
      // Every message carries its length; after the start-up, a letter stands before it.
      const head = this.started ? 1 : 0;
      const rest = this.bytes.length - this.seen;
      if (rest < head + 4) return;
      const length = head + this.bytes.readInt32BE(this.seen + head);
      if (rest < Math.max(length, head + 4)) return;
      const kind = this.started ? this.bytes[this.seen] : undefined;
      this.seen += Math.max(length, head + 4);
      if (kind === undefined) yield this.startUp();
      else if (kind === TERMINATE) yield this.cut('end');
      else if (kind === QUERY || kind === SYNC) yield this.cut();
    }
  }

  private startUp(): Exchange {
    const request = this.seen >= 8 ? this.bytes.readInt32BE(4) : CANCEL_REQUEST;
    if (request === SSL_REQUEST) return this.cut('no-ssl');
    if (request === CANCEL_REQUEST) return this.cut('end');
    this.started = true;
    return this.cut();
  }

  private cut(instead?: 'no-ssl' | 'end'): Exchange {
    const exchange = this.bytes.subarray(0, this.seen);
    this.bytes = this.bytes.subarray(this.seen);
    this.seen = 0;
    return instead ?? exchange;
  }
}
