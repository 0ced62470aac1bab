import type { CacheGuardEvent, DomainPolicyConfig, Role } from 'nestjs-cache-guard';

/** What the origin gives, and so what is cached. */
export interface Quote {
  readonly id: string;
  /** Of the truth, at the moment when the load reached the origin. */
  readonly version: number;
  /** Which load (or write) at the origin made it. */
  readonly load: number;
}

/** What a process of the fleet is told to be. */
export interface AppOptions {
  readonly name: string;
  readonly namespace: string;
  readonly origin: string;
  readonly redis?: { readonly url: string } | { readonly cluster: readonly { host: string; port: number }[] };
  readonly policy: DomainPolicyConfig;
  /** `false`: every read runs its loader. */
  readonly guarded?: boolean;
}

/** One answered read. Times are on the clock that all processes share. */
export interface ReadRecord {
  readonly process: string;
  readonly id: string;
  readonly startedMs: number;
  readonly endedMs: number;
  readonly state: 'fresh' | 'stale' | 'loaded' | 'uncached';
  readonly version: number;
  readonly load: number;
}

/** One read that failed. */
export interface FailedRead {
  readonly process: string;
  readonly id: string;
  readonly startedMs: number;
  readonly endedMs: number;
  readonly message: string;
  readonly code: string | undefined;
  /** Readers that were given the same error object have the same number. */
  readonly instance: number;
}

export interface Answers {
  readonly reads: ReadRecord[];
  readonly failures: FailedRead[];
}

/** What became of very many reads at once, without a record of each. */
export interface FloodResult {
  readonly values: number;
  /** Errors by their code, or by their message where they have none. */
  readonly codes: Record<string, number>;
  readonly longestMs: number;
}

/** A write that has resolved, with its invalidation. */
export interface WriteRecord {
  readonly id: string;
  /** What the truth was made. */
  readonly version: number;
  readonly resolvedMs: number;
}

export type ReadMethod = 'read' | 'readVersioned';
export type WriteMethod = 'write' | 'writeBook' | 'writeAll';

/** Which events are meant: all given fields are equal; `id`: the event is about that quote. */
export type EventFilter = {
  readonly [field in 'outcome' | 'reason' | 'state' | 'via' | 'operation' | 'id']?: string;
} & {
  readonly type: CacheGuardEvent['type'];
};

export interface LoopOptions {
  readonly ids: readonly string[];
  readonly readers: number;
  /** How many reads each reader makes; left out: until `stopLoops`. */
  readonly times?: number;
  /** Between one answer and the next read. */
  readonly pauseMs?: number;
  readonly method?: ReadMethod;
}

export interface WriteLoopOptions {
  readonly ids: readonly string[];
  readonly method: WriteMethod;
  /** Pause between one write's end and the next one's start. */
  readonly pauseMs: number;
}

/** What a process is told to be whose rates follow events. */
export interface RefresherOptions {
  readonly name: string;
  readonly namespace: string;
  readonly origin: string;
  readonly redisUrl: string;
  readonly role: Role;
}
