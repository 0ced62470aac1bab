import { createRequire } from 'node:module';
import { Controller, type Type } from '@nestjs/common';
import { OptionsChecker } from '../../core/field-checker.js';
import { FeedsCache, type FeedsCacheOptions } from './feeds-cache.decorator.js';
import { missingPeer } from './optional-peer.js';

export interface CacheEventsControllerOptions extends FeedsCacheOptions {
  /** Topics, subjects or routing keys, as for `@EventPattern`. */
  readonly patterns: string | RegExp | readonly (string | RegExp)[];
  /** A `Transport` of `@nestjs/microservices`, where the application is connected to several. Default: each. */
  readonly transport?: number | symbol;
}

const FIELDS = ['patterns', 'transport', 'source', 'toEvent', 'ack'] satisfies (keyof CacheEventsControllerOptions)[];

const check: OptionsChecker = new OptionsChecker('cacheEventsController()');

type EventPattern = (patterns: unknown, transport?: number | symbol) => MethodDecorator;

const hostRequire = createRequire(import.meta.url);

/**
 * A controller, for `controllers` of a module, whose handler does nothing but feed the cache (see `FeedsCache`).
 *
 * @throws CacheGuardConfigError (`CG_MISSING_PEER`, `CG_INVALID_OPTIONS`, `CG_INVALID_DECORATION`)
 */
export function cacheEventsController(options: CacheEventsControllerOptions): Type<object> {
  const { patterns, transport, ...feed } = check.options(options, FIELDS);
  const list: readonly unknown[] = Array.isArray(patterns) ? patterns : [patterns];
  if (list.length === 0 || !list.every((one) => (typeof one === 'string' && one !== '') || one instanceof RegExp)) {
    check.fail('patterns', patterns, 'give a text or a RegExp, or a list of them');
  }
  if (transport !== undefined && !Number.isInteger(transport) && typeof transport !== 'symbol') {
    check.fail('transport', transport, 'give a Transport of @nestjs/microservices, or leave it out');
  }
  const on = eventPattern()(list, transport);

  @Controller()
  class CacheEventsController {
    @on
    @FeedsCache(feed)
    async handle(): Promise<void> {}
  }
  return CacheEventsController;
}

function eventPattern(): EventPattern {
  try {
    return (hostRequire('@nestjs/microservices') as { EventPattern: EventPattern }).EventPattern;
  } catch (error) {
    throw missingPeer(error, '@nestjs/microservices', 'cacheEventsController()');
  }
}
