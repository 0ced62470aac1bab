import type { INestApplication, LoggerService, ModuleMetadata, Type } from '@nestjs/common';
import { Test, type TestingModuleBuilder } from '@nestjs/testing';
import { CacheGuard, type CacheGuardEvent } from 'nestjs-cache-guard';
import { onTestFinished } from 'vitest';

export interface LogLine {
  readonly level: 'debug' | 'log' | 'warn' | 'error';
  readonly text: string;
}

/** Keeps what is logged. Nest's logger is one per process: the last application that was made has it. */
export class LogBook implements LoggerService {
  readonly lines: LogLine[] = [];

  log = this.keep('log');
  warn = this.keep('warn');
  error = this.keep('error');
  debug = this.keep('debug');
  verbose = (): void => {};

  of(level: LogLine['level']): string[] {
    return this.lines.filter((line) => line.level === level).map(({ text }) => text);
  }

  private keep(level: LogLine['level']) {
    return (message: unknown): void => {
      this.lines.push({ level, text: String(message) });
    };
  }
}

export interface TestApp {
  readonly app: INestApplication;
  readonly guard: CacheGuard;
  readonly events: CacheGuardEvent[];
  readonly logs: LogBook;
  readonly of: <T>(token: Type<T> | string | symbol) => T;
}

type Adjust = (builder: TestingModuleBuilder) => TestingModuleBuilder;

/** Makes an application without starting it. */
export async function createApp(metadata: ModuleMetadata, adjust: Adjust = (builder) => builder): Promise<TestApp> {
  const logs = new LogBook();
  const compiled = await adjust(Test.createTestingModule(metadata)).setLogger(logs).compile();
  const app = compiled.createNestApplication();
  onTestFinished(() => app.close());
  const guard = app.get(CacheGuard, { strict: false });
  const events: CacheGuardEvent[] = [];
  guard.on((event) => events.push(event));
  return { app, guard, events, logs, of: (token) => app.get(token, { strict: false }) };
}

/** Makes and initialises an application. */
export async function startApp(metadata: ModuleMetadata, adjust?: Adjust): Promise<TestApp> {
  const made = await createApp(metadata, adjust);
  await made.app.init();
  return made;
}

export interface HttpApp extends TestApp {
  readonly get: (path: string, headers?: Record<string, string>) => Promise<{ status: number; body: unknown }>;
}

/** An application that listens on a free loopback port. */
export async function listenApp(metadata: ModuleMetadata, adjust?: Adjust): Promise<HttpApp> {
  const made = await createApp(metadata, adjust);
  await made.app.listen(0, '127.0.0.1');
  const url = await made.app.getUrl();
  return {
    ...made,
    get: async (path, headers = {}) => {
      const response = await fetch(`${url}${path}`, { headers });
      const text = await response.text();
      return { status: response.status, body: text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : text };
    },
  };
}

/** The error that `run` ends with. */
export async function failureOf(run: () => unknown): Promise<unknown> {
  try {
    await run();
  } catch (error) {
    return error;
  }
  throw new Error('This should have failed.');
}

/** Something that one part of a test waits for and another lets happen. */
export function gate(): { readonly passed: Promise<void>; readonly open: () => void } {
  let open!: () => void;
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { passed, open };
}

/** The properties that whoever looks at an object comes across, symbols included. */
export function visibleKeys(value: object): (string | symbol)[] {
  return Reflect.ownKeys(value).filter((key) => Object.prototype.propertyIsEnumerable.call(value, key));
}
