export { CacheGuardModule } from './nest/cache-guard.module.js';
export type { CacheGuardModuleAsyncOptions, CacheGuardOptionsFactory } from './nest/cache-guard.module-definition.js';
export type { EncryptionOptions } from './nest/encryption-options.js';
export type { AfterCommit, CacheGuardModuleOptions, UnsupportedRedis } from './nest/options.js';

export type { PrincipalFunction } from './nest/http/request-scope.js';

export type { FeatureOptions } from './nest/cache-guard-feature.module.js';
export type { EventSourceOption, EventsOptions, Role } from './nest/events/events-options.js';
export { redisStream, type RedisStreamOptions } from './nest/events/redis-stream.js';
export type { SourceEnvironment } from './nest/events/source-environment.js';
export type { DomainEvent, PublishedEvent } from './core/domain-event.js';
export type { EventRule, RuleAction } from './core/rules.js';
export type { Delivery, EventSink, EventSource, Failure, Verdict } from './core/event-source.js';
export { DomainEvents, type PublishResult } from './engine/events/domain-events.js';
export type { LastReconciliation, ReconcileOptions, ReconciliationReport } from './engine/reconciliation/report.js';

export {
  SqlOutbox,
  type OutboxCounts,
  type OutboxEvent,
  type OutboxRow,
  type SqlOutboxOptions,
} from './adapters/outbox/sql-outbox.js';
export type { RunSql, SqlDialect } from './adapters/outbox/sql-dialect.js';
export type { OutboxRelayOptions } from './adapters/outbox/outbox-options.js';
export { OutboxRelay, type OutboxStatus } from './adapters/outbox/outbox-relay.js';
export type { EventDestination, RefusedEvent } from './core/event-destination.js';
export { InProcessDestination } from './nest/events/in-process-destination.js';
export { outboxRelay, type AsyncOutboxRelayConfig, type OutboxRelayConfig } from './nest/events/outbox.js';

export { Cached, type CachedOptions } from './nest/cached.decorator.js';
export { Invalidates, type InvalidatesOptions } from './nest/invalidates.decorator.js';
export { Refreshes, type RefreshesOptions } from './nest/refreshes.decorator.js';
export { Warmed, type WarmedOptions } from './nest/warming/warmed.decorator.js';
export type {
  ModuleWarmedKeys,
  ModuleWarmedMethod,
  ModuleWarmingInput,
  ModuleWarmingOptions,
  WarmingEnvironment,
  WarmingSchedule,
} from './nest/warming/warming-options.js';
export { Follows, type FollowsOptions } from './nest/events/follows.decorator.js';
export type { KeyLoader, LoaderTarget } from './engine/events/remakes.js';
export { eventEmitter, type EventEmitterOptions } from './nest/events/event-emitter.js';
export { FeedsCache, type FeedsCacheOptions } from './nest/events/feeds-cache.decorator.js';
export { cacheEventsController, type CacheEventsControllerOptions } from './nest/events/cache-events-controller.js';

export { CacheGuardSession, type SessionCarriage } from './nest/session.js';

export { CacheGuard } from './engine/cache-guard.js';
export type { Warming } from './engine/warming/warming.js';
export type {
  WarmedKeys,
  WarmedMethod,
  WarmingControl,
  WarmingInput,
  WarmingList,
  WarmingOptions,
  WarmingPace,
  WarmingProgress,
  WarmingReport,
} from './core/warming.js';
export { loadContext } from './engine/load-frames.js';
export { argsKey, type DerivedKey, type EntryKey, type KeyPart } from './core/keys.js';
export { routeKey, type RouteKeyParts } from './core/http/route-key.js';
export type { BypassReason } from './core/http/bypass.js';
export type { HttpRouteOptions, VaryOptions } from './nest/http/http-settings.js';

export type {
  ExplainOptions,
  Explanation,
  InvalidateTagsTarget,
  InvalidateTarget,
  InvalidationResult,
  KeyEvent,
  KeyTarget,
  LoadContext,
  OwnerTarget,
  PeekedValue,
  PolicyInForce,
  Project,
  ProjectedTarget,
  PutResult,
  ReadTarget,
  RecentEvent,
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
  ReconcileConfig,
  Scope,
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
  BypassEvent,
  CacheGuardEvent,
  CacheGuardListener,
  CoalescedEvent,
  CorruptEvent,
  DeadLetterEvent,
  DomainEventsEvent,
  EventGapEvent,
  EventLagEvent,
  EventSourceErrorEvent,
  EventSourceStateEvent,
  FenceReason,
  FailedEvent,
  FencedEvent,
  HitEvent,
  InvalidationEvent,
  InvalidationMode,
  InvalidationScope,
  LeaseEvent,
  LoadEvent,
  LoaderBreakerEvent,
  MissEvent,
  NoPrincipalEvent,
  OverloadEvent,
  ReconciliationEvent,
  RefreshSkippedEvent,
  StoreErrorEvent,
  StoreStateEvent,
  TrustEvent,
  UncacheableEvent,
  UnencodableEvent,
  UnpartitionedEvent,
  WaitTimeoutEvent,
  WarmingEvent,
} from './core/events.js';

export type { Codec } from './core/codec.js';
export type { Clock } from './core/clock.js';
export type { Ledger } from './core/ledger.js';
export type { Board, Records, WalkedEntry } from './core/fleet-notes.js';
export type {
  AcquireReply,
  AcquireRequest,
  BeatReply,
  BeatRequest,
  CommitReply,
  CommitRequest,
  KnownVersion,
  ReadReply,
  ReleaseRequest,
  Signal,
  Store,
} from './core/store.js';

export { CacheGuardMetrics } from './telemetry/metrics.js';
export { amplification, total, type DomainCounters, type StoreCounters } from './telemetry/counters.js';
export type { SourceCounters } from './telemetry/source-counters.js';
