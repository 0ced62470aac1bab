import 'reflect-metadata';
import { Injectable, Module, type DynamicModule } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  Cached,
  CacheGuard,
  CacheGuardModule,
  Invalidates,
  isCacheGuardError,
  type CacheGuardModuleOptions,
  type DomainPolicies,
  type InvalidationResult,
} from 'nestjs-cache-guard';

/** What an application prints when it has done its work. */
export interface Report {
  readonly modules: 'esm' | 'commonjs';
  /** How often the method behind `@Cached` has run so far: after two calls, then after an invalidation and one more call. */
  readonly loads: { readonly afterTwoCalls: number; readonly afterInvalidation: number };
  /** The three values that the calls gave. */
  readonly values: readonly Offer[];
  /** What the injected `CacheGuard` gave for the key of the method. */
  readonly peeked: Offer | undefined;
  readonly invalidation: InvalidationResult;
}

/** What it prints instead when it could not. */
export interface Failure {
  readonly failed: { readonly ours: boolean; readonly name: string; readonly code: unknown; readonly message: string };
}

export interface Offer {
  readonly segment: string;
  readonly madeBy: string;
  readonly load: number;
}

const domains: DomainPolicies = {
  offers: { freshness: 'experience', softTtl: '5m', hardTtl: '10m', stalePolicy: 'never' },
};

@Injectable()
class OfferService {
  loads = 0;

  // Injected by the emitted metadata: the class that was imported here has to be the one that the module provides.
  constructor(private readonly guard: CacheGuard) {}

  @Cached({ domain: 'offers', key: (segment: string) => segment, tags: (segment: string) => [`segment:${segment}`] })
  async findBySegment(segment: string): Promise<Offer> {
    this.loads += 1;
    return { segment, madeBy: process.env['APP_NAME'] ?? 'unnamed', load: this.loads };
  }

  @Invalidates({ domain: 'offers', key: (segment: string) => segment })
  async publish(segment: string): Promise<string> {
    return `published ${segment}`;
  }

  async peek(segment: string): Promise<Offer | undefined> {
    const peeked = await this.guard.peek<Offer>({ domain: 'offers', key: segment });
    return peeked?.value;
  }

  invalidateAll(): Promise<InvalidationResult> {
    return this.guard.invalidateDomain('offers');
  }
}

@Module({})
class AppModule {
  static with(options: CacheGuardModuleOptions): DynamicModule {
    return { module: AppModule, imports: [CacheGuardModule.forRoot(options)], providers: [OfferService] };
  }
}

/** Options that are the same in every application; how to reach Redis comes on top. */
export function baseOptions(): CacheGuardModuleOptions {
  return { namespace: process.env['APP_NAMESPACE'] ?? 'compat', domains };
}

async function exercise(options: CacheGuardModuleOptions): Promise<Report> {
  const app = await NestFactory.createApplicationContext(AppModule.with(options), {
    logger: ['fatal', 'error', 'warn'],
    abortOnError: false,
  });
  try {
    const offers = app.get(OfferService);
    const values = [await offers.findBySegment('gold'), await offers.findBySegment('gold')];
    const afterTwoCalls = offers.loads;
    await offers.publish('gold');
    values.push(await offers.findBySegment('gold'));
    const afterInvalidation = offers.loads;
    const peeked = await offers.peek('gold');
    await offers.findBySegment('silver');
    const invalidation = await offers.invalidateAll();
    await offers.findBySegment('gold');
    return {
      modules: typeof module === 'undefined' ? 'esm' : 'commonjs',
      loads: { afterTwoCalls, afterInvalidation },
      values,
      peeked,
      invalidation,
    };
  } finally {
    await app.close();
  }
}

/** Does the work and prints one line of JSON. Nothing here ends the process: what the library leaves behind would keep it alive. */
export async function main(options: CacheGuardModuleOptions): Promise<void> {
  try {
    console.log(JSON.stringify(await exercise(options)));
  } catch (error) {
    const { name, message, code } = error as Error & { code?: unknown };
    const failure: Failure = { failed: { ours: isCacheGuardError(error), name, code, message } };
    console.log(JSON.stringify(failure));
  }
}
