import type { CacheGuardListener } from '../core/events.js';
import { amplification, Counters, type DomainCounters, type StoreCounters } from './counters.js';
import { PrometheusPage } from './prometheus.js';
import type { SourceCounters } from './source-counters.js';

/** What the guard of this process counted; injectable. */
export class CacheGuardMetrics {
  private readonly counters = new Counters();
  private readonly page = new PrometheusPage(this.counters);

  constructor(guard: { on(listener: CacheGuardListener): unknown }) {
    guard.on(this.counters.listener);
    guard.on(this.page.listener);
  }

  /** Counters by domain, since the start of the process. */
  snapshot(): Record<string, DomainCounters> {
    return this.counters.snapshot();
  }

  /** How this process stands with its store; the embedded one is never away. */
  store(): StoreCounters {
    return this.counters.store();
  }

  /** What event sources delivered to this process, by source. */
  sources(): Record<string, SourceCounters> {
    return this.counters.sources();
  }

  /** Loads per accepted value of one domain, or of all; `undefined` before the first accepted value. */
  amplification(domain?: string): number | undefined {
    const all = this.snapshot();
    const one = domain === undefined ? Object.values(all) : all[domain] ? [all[domain]] : [];
    return amplification(one);
  }

  /** @throws CacheGuardConfigError (`CG_MISSING_PEER`) without `prom-client` */
  prometheus(): Promise<{ readonly contentType: string; readonly body: string }> {
    return this.page.render();
  }
}
