import { thrownText } from '../core/errors.js';
import type { CacheGuardEvent, CacheGuardListener } from '../core/events.js';
import { OptionsChecker } from '../core/field-checker.js';

const check: OptionsChecker = new OptionsChecker('CacheGuard.on');

const hubs = new WeakMap<object, EventHub>();

/** Emits an event in a guard's name, for those who work in front of it. What is no guard has no listeners. */
export function tell(guard: object, event: CacheGuardEvent): void {
  hubs.get(guard)?.emit(event);
}

/** Hands typed events to listeners. A listener that throws disturbs neither the request nor the other listeners. */
export class EventHub {
  private listeners: readonly CacheGuardListener[] = [];

  /** @param owner the guard whose events these are */
  constructor(owner?: object) {
    if (owner) hubs.set(owner, this);
  }

  /**
   * @returns a function that ends the subscription
   * @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`)
   */
  on(listener: CacheGuardListener): () => void {
    check.needFn('listener', listener, '(event)');
    this.listeners = [...this.listeners, listener];
    return () => {
      this.listeners = this.listeners.filter((other) => other !== listener);
    };
  }

  emit(event: CacheGuardEvent): void {
    for (const listener of this.listeners) {
      try {
        const handled: unknown = listener(event);
        if (handled instanceof Promise) handled.catch(reportListener);
      } catch (error) {
        reportListener(error);
      }
    }
  }
}

function reportListener(error: unknown): void {
  process.emitWarning(`A cache guard event listener threw: ${thrownText(error)}`, {
    code: 'CG_LISTENER',
  });
}
