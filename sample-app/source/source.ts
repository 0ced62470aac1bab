import { setTimeout as pause } from 'node:timers/promises';
import { HttpException, Inject, Injectable } from '@nestjs/common';
import { loadContext } from 'nestjs-cache-guard';
import { SAMPLE_CONFIG } from '../tokens.js';
import type { SampleConfig } from '../config.js';
import { Database, type Query } from './database.js';

export const SOURCE_MODES = ['healthy', 'slow', 'failing'] as const;
export type SourceMode = (typeof SOURCE_MODES)[number];

/** What a failing source throws: a failure, so that a stale policy may stand in. */
export class SourceUnavailableError extends Error {
  override readonly name = 'SourceUnavailableError';

  constructor(options?: ErrorOptions) {
    super('The bank’s database does not answer just now.', options);
  }
}

/** What Postgres itself says of a statement, rather than of its own state or of the way to it. */
function isAboutTheStatement(error: unknown): boolean {
  const { severity, code } = error as { severity?: unknown; code?: unknown };
  return severity !== undefined && !/^(08|53|57P)/.test(String(code));
}

async function answered<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (cause) {
    throw cause instanceof HttpException || isAboutTheStatement(cause) ? cause : new SourceUnavailableError({ cause });
  }
}

/** The database as the bounded contexts see it: with a cost, with moods, and with a count of what it has to load. */
@Injectable()
export class Source {
  mode: SourceMode = 'healthy';
  private readonly counted = new Map<string, number>();

  constructor(
    private readonly database: Database,
    @Inject(SAMPLE_CONFIG) private readonly config: SampleConfig,
  ) {}

  /** Loads asked of this source so far: of one domain, or of each. */
  loads(domain: string): number {
    return this.counted.get(domain) ?? 0;
  }

  allLoads(): Record<string, number> {
    return Object.fromEntries(this.counted);
  }

  /** What a cached method loads. */
  async read<Row extends object>(domain: string, sql: string, params: readonly unknown[]): Promise<Row[]> {
    this.counted.set(domain, this.loads(domain) + 1);
    await this.cost(1);
    return this.ask(sql, params);
  }

  /** A cheap question, such as for a version. */
  async probe<Row extends object>(sql: string, params: readonly unknown[]): Promise<Row[]> {
    await this.cost(0.1);
    return this.ask(sql, params);
  }

  async write<Row extends object>(sql: string, params: readonly unknown[]): Promise<Row[]> {
    await this.cost(1);
    return this.ask(sql, params);
  }

  /** Several statements that are carried out together or not at all. */
  async transaction<T>(work: (query: Query) => Promise<T>): Promise<T> {
    await this.cost(1);
    return answered(() => this.database.transaction(work));
  }

  private ask<Row extends object>(sql: string, params: readonly unknown[]): Promise<Row[]> {
    return answered(() => this.database.query<Row>(sql, params));
  }

  /** Ends early when nobody wants the load any more. */
  private async cost(share: number): Promise<void> {
    const ms = this.mode === 'slow' ? this.config.originSlowMs : this.config.originDelayMs;
    await pause(Math.round(ms * share), undefined, { signal: loadContext().signal });
    if (this.mode === 'failing') throw new SourceUnavailableError();
  }
}
