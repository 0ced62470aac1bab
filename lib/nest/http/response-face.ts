import { once, type EventEmitter } from 'node:events';
import { appendMember } from '../../core/http/cache-status.js';
import type { RawResponse } from './late-cookies.js';

type HeaderValue = string | number | readonly string[] | undefined;

/** The response of a request, whichever framework has made it. */
export interface ResponseFace {
  /** The one of Node: there is one for each request. */
  readonly raw: RawResponse;
  readonly status: number;
  readonly sent: boolean;
  /** Resolves when it is with the client, or will never be, and at the latest after `ms` milliseconds. */
  gone(ms: number): Promise<void>;
  get(name: string): string | undefined;
  set(name: string, value: string): void;
  /** Behind what is there already. */
  append(name: string, member: string): void;
  /** How many cookies have been set. */
  cookies(): number;
}

interface NodeResponse extends RawResponse, EventEmitter {
  readonly closed?: boolean;
  readonly writableFinished?: boolean;
}

interface ExpressResponse extends NodeResponse {
  statusCode: number;
  getHeader(name: string): HeaderValue;
}

type SetCookie = (...args: unknown[]) => unknown;

/** Of `@fastify/cookie`, which writes them when the answer is sent. */
const SETTING = ['setCookie', 'cookie', 'clearCookie'] as const;

interface FastifyReply extends Partial<Record<(typeof SETTING)[number], SetCookie>> {
  readonly raw: NodeResponse;
  statusCode: number;
  getHeader(name: string): HeaderValue;
  header(name: string, value: string): unknown;
}

export function isFastify(response: object): response is FastifyReply {
  return 'raw' in response && typeof (response as { header?: unknown }).header === 'function';
}

export function faceOf(response: object): ResponseFace {
  return isFastify(response)
    ? new Face(response.raw, response, (name, value) => response.header(name, value))
    : new Face(response as ExpressResponse, response as ExpressResponse, (name, value) =>
        (response as ExpressResponse).setHeader(name, value),
      );
}

class Face implements ResponseFace {
  private pending = 0;

  constructor(
    readonly raw: NodeResponse,
    private readonly response: ExpressResponse | FastifyReply,
    readonly set: (name: string, value: string) => void,
  ) {
    if (isFastify(response)) this.countPending(response);
  }

  get status(): number {
    return this.response.statusCode;
  }

  get sent(): boolean {
    return this.raw.headersSent;
  }

  async gone(ms: number): Promise<void> {
    if (this.raw.closed || this.raw.writableFinished) return;
    await once(this.raw, 'close', { signal: AbortSignal.timeout(ms) }).catch(() => {});
  }

  get(name: string): string | undefined {
    const value = this.response.getHeader(name);
    if (value === undefined) return undefined;
    return typeof value === 'object' ? value.join(', ') : String(value);
  }

  append(name: string, member: string): void {
    this.set(name, appendMember(this.get(name), member));
  }

  cookies(): number {
    const value = this.response.getHeader('set-cookie');
    return this.pending + (value === undefined ? 0 : typeof value === 'object' ? value.length : 1);
  }

  private countPending(reply: FastifyReply): void {
    for (const name of SETTING) {
      const set = reply[name];
      if (!set) continue;
      reply[name] = (...args) => {
        this.pending++;
        return set.apply(reply, args);
      };
    }
  }
}
