import { request as sendRequest, type IncomingHttpHeaders } from 'node:http';
import type { INestApplication, ModuleMetadata, Type } from '@nestjs/common';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { CacheGuard, CacheGuardModule, type CacheGuardEvent, type CacheGuardModuleOptions } from 'nestjs-cache-guard';
import { onTestFinished } from 'vitest';
import { uniqueNamespace } from '../../support/namespace.js';
import { LogBook } from './app.js';

export const ADAPTERS = ['Express', 'Fastify'] as const;
export type Adapter = (typeof ADAPTERS)[number];

export interface Heard {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Asked {
  readonly method?: string;
  readonly headers?: Record<string, string | string[]>;
  readonly body?: string;
}

/** A client that sends exactly what it is told to, and hears exactly what is sent. */
export function ask(url: string, { method = 'GET', headers = {}, body }: Asked = {}): Promise<Heard> {
  return new Promise((resolve, reject) => {
    const request = sendRequest(url, { method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const { statusCode = 0, headers: heard } = response;
        resolve({ status: statusCode, headers: heard, body: Buffer.concat(chunks).toString() });
      });
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

export interface HttpFace {
  readonly app: INestApplication;
  readonly guard: CacheGuard;
  readonly events: CacheGuardEvent[];
  readonly logs: LogBook;
  readonly of: <T>(token: Type<T>) => T;
  readonly ask: (path: string, asked?: Asked) => Promise<Heard>;
  /** Reasons of the `bypass` events so far. */
  readonly reasons: () => string[];
}

export async function listenOn(
  adapter: Adapter,
  metadata: ModuleMetadata,
  options: Partial<CacheGuardModuleOptions> = {},
  adjust: (app: INestApplication) => void | Promise<void> = () => {},
): Promise<HttpFace> {
  const root = CacheGuardModule.forRoot({ namespace: uniqueNamespace('http'), ...options });
  const logs = new LogBook();
  const builder = Test.createTestingModule({ ...metadata, imports: [root, ...(metadata.imports ?? [])] });
  const compiled = await builder.setLogger(logs).compile();
  const app =
    adapter === 'Fastify'
      ? compiled.createNestApplication<NestFastifyApplication>(new FastifyAdapter())
      : compiled.createNestApplication();
  onTestFinished(() => app.close());
  await adjust(app);
  await app.listen(0, '127.0.0.1');
  const url = await app.getUrl();
  const guard = app.get(CacheGuard);
  const events: CacheGuardEvent[] = [];
  guard.on((event) => events.push(event));
  return {
    app,
    guard,
    events,
    logs,
    of: (token) => app.get(token, { strict: false }),
    ask: (path, asked) => ask(url + path, asked),
    reasons: () => events.flatMap((event) => (event.type === 'bypass' ? [event.reason] : [])),
  };
}
