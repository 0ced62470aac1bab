import { AsyncLocalStorage } from 'node:async_hooks';
import type { ExecutionContext } from '@nestjs/common';

const acting = new AsyncLocalStorage<string>();

/** Runs what no request of the customer asks for. */
export function actFor<T>(customer: string, work: () => T): T {
  return acting.run(customer, work);
}

/**
 * Whose values a call may be given: the module's `principal`. Nobody logs in here, so the path says who it is; a real bank takes
 * it from a verified token, never from what a client can choose.
 */
export function principalOf(context?: ExecutionContext): string | undefined {
  if (context?.getType() !== 'http') return acting.getStore();
  return context.switchToHttp().getRequest<{ params: { customer?: string } }>().params.customer ?? acting.getStore();
}
