import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';

const CR = 0x0d;

/**
 * Splits a RESP2 or RESP3 byte stream into whole frames (a request, a reply or a push), without interpreting them.
 * Bytes that begin no known type are taken as one line (Redis' inline commands).
 */
export class FrameSplitter {
  private rest: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): Buffer[] {
    this.rest = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    const frames: Buffer[] = [];
    for (;;) {
      const end = frameEnd(this.rest, 0);
      if (end === undefined) return frames;
      frames.push(this.rest.subarray(0, end));
      this.rest = this.rest.subarray(end);
    }
  }
}

/** The offset behind the frame that begins at `start`, or nothing while the frame is incomplete. */
function frameEnd(bytes: Buffer, start: number): number | undefined {
  const cr = bytes.indexOf(CR, start);
  if (cr === -1 || cr + 1 >= bytes.length) return undefined;
  const next = cr + 2;
  const length = (): number => Number(bytes.toString('latin1', start + 1, cr));
  switch (String.fromCharCode(bytes[start]!)) {
    case '$':
    case '=':
    case '!': {
      const end = length() < 0 ? next : next + length() + 2;
      return end <= bytes.length ? end : undefined;
    }
    case '*':
    case '~':
    case '>':
      return skip(bytes, next, length());
    case '%':
      return skip(bytes, next, length() * 2);
    case '|':
      return skip(bytes, next, length() * 2 + 1);
    default:
      return next;
  }
}

function skip(bytes: Buffer, from: number, frames: number): number | undefined {
  let at: number | undefined = from;
  for (let i = 0; i < frames && at !== undefined; i += 1) at = frameEnd(bytes, at);
  return at;
}

/** The upper-cased name of the command in a request frame. */
export function commandName(request: Buffer): string {
  const lines = request.toString('latin1', 0, 128).split('\r\n');
  return (lines[0]?.startsWith('*') ? (lines[2] ?? '') : (lines[0]?.split(' ')[0] ?? '')).toUpperCase();
}

export function encodeCommand(args: readonly (string | number)[]): string {
  return `*${args.length}\r\n${args.map((arg) => `$${Buffer.byteLength(String(arg))}\r\n${arg}\r\n`).join('')}`;
}

/** Where a server answers, and what it asks for first. */
export interface Endpoint {
  readonly port: number;
  readonly password?: string | undefined;
  /** The certificate authority of a server that speaks TLS. */
  readonly ca?: string | undefined;
}

/**
 * Sends one command over a connection of its own and resolves with its reply: the text of a simple or bulk string or of
 * a number. Error replies reject.
 */
export function sendCommand(
  to: number | Endpoint,
  args: readonly (string | number)[],
  timeoutMs = 1_000,
): Promise<string> {
  const { port, password, ca } = typeof to === 'number' ? ({ port: to } as Endpoint) : to;
  return new Promise((resolve, reject) => {
    const splitter = new FrameSplitter();
    const where = { host: '127.0.0.1', port };
    const socket = ca === undefined ? connect(where) : connectTls({ ...where, ca });
    const ready = ca === undefined ? 'connect' : 'secureConnect';
    let greetings = password === undefined ? 0 : 1;
    const settle = (error: Error | undefined, text = ''): void => {
      socket.destroy();
      if (error) reject(error);
      else resolve(text);
    };
    socket.setTimeout(timeoutMs, () => settle(new Error(`No reply to ${args[0]} within ${timeoutMs} ms`)));
    socket.on('error', settle);
    socket.on('close', () => settle(new Error(`Connection closed before the reply to ${args[0]}`)));
    socket.on(ready, () =>
      socket.write(`${password === undefined ? '' : encodeCommand(['AUTH', password])}${encodeCommand(args)}`),
    );
    socket.on('data', (chunk: Buffer) => {
      for (const frame of splitter.push(chunk)) {
        const text = frame.toString('utf8');
        const firstLine = text.slice(1, text.indexOf('\r\n'));
        if (text.startsWith('-')) return settle(new Error(firstLine));
        if ((greetings -= 1) >= 0) continue;
        return settle(undefined, text.startsWith('$') ? text.slice(firstLine.length + 3, -2) : firstLine);
      }
    });
  });
}
