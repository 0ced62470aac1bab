import { appendMember } from '../../core/http/cache-status.js';

type HeaderValue = string | number | readonly string[] | undefined;

/** The response of a request, whichever framework has made it. */
export interface ResponseFace {
  /** The one of Node: there is one for each request. */
  readonly raw: object;
  readonly status: number;
  readonly sent: boolean;
  get(name: string): string | undefined;
  set(name: string, value: string): void;
  /** Behind what is there already. */
  append(name: string, member: string): void;
  /** How many cookies are set. */
  cookies(): number;
}

interface ExpressResponse {
  statusCode: number;
  readonly headersSent: boolean;
  getHeader(name: string): HeaderValue;
  setHeader(name: string, value: string): unknown;
}

interface FastifyReply {
  readonly raw: { readonly headersSent: boolean };
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
  constructor(
    readonly raw: { readonly headersSent: boolean },
    private readonly response: { readonly statusCode: number; getHeader(name: string): HeaderValue },
    readonly set: (name: string, value: string) => void,
  ) {}

  get status(): number {
    return this.response.statusCode;
  }

  get sent(): boolean {
    return this.raw.headersSent;
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
    return value === undefined ? 0 : typeof value === 'object' ? value.length : 1;
  }
}
