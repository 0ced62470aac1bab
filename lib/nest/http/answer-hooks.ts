import type { HttpAdapterHost } from '@nestjs/core';
import { isFastify } from './response-face.js';
import type { RouteAnswer } from './route-answer.js';

/** By the response of Node. */
const answers = new WeakMap<object, RouteAnswer>();
const hooked = new WeakSet<object>();

interface ExpressResponse {
  readonly req?: object;
  statusCode: number;
  send(body?: unknown): unknown;
  writeHead(...args: unknown[]): unknown;
}

/**
 * Has the headers of a route's answer written when it is sent. A second call of the handler takes the place of the first; one inside the
 * first, as of an overridden method, does not.
 */
export function answerWith(response: object, raw: object, answer: RouteAnswer): void {
  if (answers.get(raw)?.running) return;
  answers.set(raw, answer);
  // Fastify has one hook for all.
  if (isFastify(response) || hooked.has(raw) || !isExpress(response)) return;
  hooked.add(raw);
  hookExpress(response);
}

/** What is sent is not what the handler, or the cache, gave: somebody behind it threw. */
export function threwBehind(response: object): void {
  answers.get(isFastify(response) ? response.raw : response)?.threw();
}

function isExpress(response: object): response is ExpressResponse {
  const { send, writeHead } = response as Partial<Record<'send' | 'writeHead', unknown>>;
  return typeof send === 'function' && typeof writeHead === 'function';
}

function hookExpress(response: ExpressResponse): void {
  const send = response.send.bind(response);
  const writeHead = response.writeHead.bind(response);
  response.send = (...args: [body?: unknown]): unknown => {
    // Everything but text and bytes comes back here as text.
    const bytes = bytesOf(args[0]);
    const answer = bytes === undefined ? undefined : answers.get(response);
    if (answer && !answer.done) {
      const notModified = answer.finish(bytes);
      // Decided here, by the same rules under both frameworks.
      if (response.req && notModified !== undefined)
        Object.defineProperty(response.req, 'fresh', { value: false, configurable: true });
      if (notModified) response.statusCode = 304;
    }
    return send(...args);
  };
  // Streams, redirects, and handlers that answer by themselves.
  response.writeHead = (...args: unknown[]): unknown => {
    answers.get(response)?.finish(undefined);
    return writeHead(...args);
  };
}

type Done = (error: Error | null, payload?: unknown) => void;

interface FastifyReply {
  readonly raw: object;
  readonly request: { readonly method: string };
  code(status: number): unknown;
  removeHeader(name: string): unknown;
}

/** To be called before the routes are registered: Fastify asks only the hooks that are there by then. */
export function hookFastify({ httpAdapter }: HttpAdapterHost): void {
  if (httpAdapter?.getType?.() !== 'fastify') return;
  const instance = httpAdapter.getInstance<{
    addHook(name: 'onSend', hook: (request: object, reply: FastifyReply, payload: unknown, done: Done) => void): void;
  }>();
  instance.addHook('onSend', (_request, reply, payload, done) => {
    const answer = answers.get(reply.raw);
    if (!answer?.finish(bytesOf(payload))) return done(null, payload);
    reply.code(304);
    reply.removeHeader('content-type');
    // A hook of Fastify's own, behind this one, takes the length of a HEAD's answer from the payload.
    return done(null, reply.request.method === 'HEAD' ? payload : null);
  });
}

function bytesOf(body: unknown): string | Uint8Array | undefined {
  if (body === undefined || body === null) return '';
  return typeof body === 'string' || body instanceof Uint8Array ? body : undefined;
}
