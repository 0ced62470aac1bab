import { AsyncResource } from 'node:async_hooks';
import { Logger } from '@nestjs/common';
import { CacheGuardStoreError, thrownText } from '../core/errors.js';
import type { GuardedCall } from './method-wrapper.js';

/**
 * Carries out what follows a write, and never fails it: what was written is written. A store that is away is reported by the
 * engine's events.
 */
export async function carryOut(call: GuardedCall, follow: () => Promise<unknown>): Promise<void> {
  try {
    await follow();
  } catch (error) {
    if (error instanceof CacheGuardStoreError) return;
    const text = thrownText(error);
    new Logger('CacheGuard').error(`The invalidation that follows ${call.method} failed: ${text}`);
  }
}

/** @returns whether a transaction is open and took it. */
export function deferred(call: GuardedCall, follow: () => Promise<unknown>): boolean {
  // In the caller's async context, wherever the hook runs it: a domain's partition is read from there.
  const action = AsyncResource.bind(() => carryOut(call, follow));
  return call.engine.afterCommit?.(action) === true;
}
