/** The response of Node. */
export interface RawResponse {
  readonly headersSent: boolean;
  getHeader(name: string): unknown;
  setHeader(name: string, value: unknown): unknown;
  appendHeader?(name: string, value: unknown): unknown;
  removeHeader(name: string): void;
  writeHead(...args: readonly unknown[]): unknown;
}

/** What was said of an answer that nobody has set a cookie with, as far as was known. */
export interface Said {
  readonly control: string | undefined;
  readonly etag: string | undefined;
}

/** Headers as they are handed to `writeHead`. */
type Headers = Record<string, unknown>;

/**
 * Takes back what was said when a cookie comes behind it: sessions set theirs as the headers are written. Nobody downstream may keep an
 * answer that goes out with one, nor compare it.
 */
export function withdrawForCookies(raw: RawResponse, said: Said, instead: string): void {
  if (said.control === undefined && said.etag === undefined) return;
  const withdraw = (): void => {
    if (said.control !== undefined && raw.getHeader('cache-control') === said.control)
      raw.setHeader('Cache-Control', instead);
    if (said.etag !== undefined && raw.getHeader('etag') === said.etag) raw.removeHeader('ETag');
  };
  for (const method of ['setHeader', 'appendHeader'] as const) {
    const original = raw[method];
    if (!original) continue;
    raw[method] = (name, value) => {
      const result: unknown = original.call(raw, name, value);
      if (isCookie(name)) withdraw();
      return result;
    };
  }
  // Fastify hands over all headers at once.
  const writeHead = raw.writeHead.bind(raw);
  raw.writeHead = (...args) => writeHead(...args.map((arg) => (isHeaders(arg) ? withdrawn(arg, said, instead) : arg)));
}

function withdrawn(headers: Headers, { control, etag }: Said, instead: string): Headers {
  if (!Object.keys(headers).some(isCookie)) return headers;
  const kept = Object.entries(headers).filter(([name, value]) => name.toLowerCase() !== 'etag' || value !== etag);
  return Object.fromEntries(
    kept.map(([name, value]) => [name, name.toLowerCase() === 'cache-control' && value === control ? instead : value]),
  );
}

function isCookie(name: string): boolean {
  return name.toLowerCase() === 'set-cookie';
}

function isHeaders(arg: unknown): arg is Headers {
  return typeof arg === 'object' && arg !== null && !Array.isArray(arg);
}
