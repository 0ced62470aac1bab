export { CacheGuardModule } from './nest/cache-guard.module.js';
export type { CacheGuardModuleAsyncOptions, CacheGuardOptionsFactory } from './nest/cache-guard.module-definition.js';
export type { AfterCommit, CacheGuardModuleOptions, UnsupportedRedis } from './nest/options.js';

export type { FeatureOptions } from './nest/cache-guard-feature.module.js';
export type { EventSourceOption, EventsOptions, Role } from './nest/events/events-options.js';
export type { SourceEnvironment } from './nest/events/source-environment.js';
export type { DomainEvent, PublishedEvent } from './core/domain-event.js';
export type { EventRule, RuleAction } from './core/rules.js';
export type { Delivery, EventSink, EventSource, Verdict } from './core/event-source.js';
export { DomainEvents, type PublishResult } from './engine/events/domain-events.js';

export { Cached, type CachedOptions } from './nest/cached.decorator.js';
export { Invalidates, type InvalidatesOptions } from './nest/invalidates.decorator.js';
export { Refreshes, type RefreshesOptions } from './nest/refreshes.decorator.js';

export { CacheGuard } from './engine/cache-guard.js';
export { loadContext } from './engine/load-frames.js';
export { argsKey, type DerivedKey, type EntryKey, type KeyPart } from './core/keys.js';

export type {
  Explanation,
  InvalidateTagsTarget,
  InvalidateTarget,
  InvalidationResult,
  KeyTarget,
  LoadContext,
  PeekedValue,
  PutResult,
  ReadTarget,
  ServedValue,
} from './core/targets.js';
export type { Duration } from './core/durations.js';
export type {
  DomainPolicies,
  DomainPolicyConfig,
  FreshnessClass,
  FreshnessOverrides,
  L1Config,
  LoadOutcome,
  Policy,
  StalePolicy,
  StaleWindows,
} from './core/policy.js';
export type { Revive, ValueOptions } from './core/values.js';

export {
  CacheGuardConfigError,
  CacheGuardError,
  CacheGuardOverloadError,
  CacheGuardStoreError,
  CacheGuardTimeoutError,
  isCacheGuardError,
  type CacheGuardErrorCode,
  type CacheGuardErrorFields,
} from './core/errors.js';
export type { MissCause } from './core/decide.js';
export type { UncacheableReason } from './core/composition.js';
export type {
  AcceptedEvent,
  AdviceCode,
  AdviceEvent,
  CacheGuardEvent,
  CacheGuardListener,
  CoalescedEvent,
  CorruptEvent,
  FencedEvent,
  FenceReason,
  HitEvent,
  InvalidationEvent,
  InvalidationMode,
  InvalidationScope,
  LeaseEvent,
  LoadEvent,
  LoaderBreakerEvent,
  MissEvent,
  OverloadEvent,
  StoreErrorEvent,
  StoreStateEvent,
  TrustEvent,
  UncacheableEvent,
  UnencodableEvent,
  UnpartitionedEvent,
  WaitTimeoutEvent,
} from './core/events.js';

export type { Codec } from './core/codec.js';
export type { Clock } from './core/clock.js';
export type {
  AcquireReply,
  AcquireRequest,
  BeatReply,
  BeatRequest,
  CommitReply,
  CommitRequest,
  ReadReply,
  ReleaseRequest,
  Signal,
  Store,
} from './core/store.js';

export { CacheGuardMetrics } from './telemetry/metrics.js';
export { amplification, total, type DomainCounters, type StoreCounters } from './telemetry/counters.js';
