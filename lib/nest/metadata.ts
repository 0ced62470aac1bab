import type { DomainEvent } from '../core/domain-event.js';
import type { InvalidationMode } from '../core/events.js';
import type { FreshnessOverrides, Scope } from '../core/policy.js';
import type { ReadTarget } from '../core/targets.js';
import type { ValueOptions } from '../core/values.js';
import type { HttpSettings } from './http/http-settings.js';
import type { AnyMethod, KeyFunction, KeysFunction, TagsFunction } from './decorator-types.js';

/** How values are kept and handed out, as far as the method says. */
export type Keeping = FreshnessOverrides & ValueOptions & Pick<ReadTarget, 'project'>;

/** What `@Cached` was given. */
export interface CachedDefinition {
  readonly kind: 'cached';
  readonly domain: string;
  readonly key: KeyFunction | undefined;
  readonly name: string | undefined;
  readonly shared: boolean;
  /** `undefined`: nothing was said, and the defaults apply where the method is a route. */
  readonly http: HttpSettings | undefined;
  readonly tags: TagsFunction | undefined;
  readonly keeping: Keeping;
}

/** What `@Refreshes` was given. */
export interface RefreshesDefinition {
  readonly kind: 'refreshes';
  readonly domain: string;
  readonly key: KeyFunction | undefined;
  readonly name: string | undefined;
  readonly tags: TagsFunction | undefined;
  readonly keeping: Keeping;
}

/** What `@Invalidates` was given; exactly one of `key`, `keys`, `tags` and `all`. */
export interface InvalidatesDefinition {
  readonly kind: 'invalidates';
  readonly domain: string;
  readonly key: KeyFunction | undefined;
  readonly keys: KeysFunction | undefined;
  readonly tags: TagsFunction | undefined;
  readonly all: boolean;
  readonly name: string | undefined;
  readonly scope: Scope | undefined;
  readonly mode: InvalidationMode | undefined;
  readonly when: 'success' | 'settled';
}

export type GuardedDefinition = CachedDefinition | RefreshesDefinition | InvalidatesDefinition;

/** What `@Follows` was given. */
export interface FollowsDefinition {
  readonly on: string | readonly string[];
  readonly from: string | readonly string[] | undefined;
  readonly args: (event: DomainEvent) => readonly unknown[] | undefined;
  readonly version: ((event: DomainEvent) => bigint | number | undefined) | undefined;
  readonly action: 'invalidate' | 'refresh' | undefined;
  readonly mode: InvalidationMode | undefined;
}

/** On the method's function: what it follows. */
const FOLLOWS = Symbol('CacheGuard:follows');

export function followsOf(method: AnyMethod): readonly FollowsDefinition[] {
  return (Reflect.getOwnMetadata(FOLLOWS, method) as readonly FollowsDefinition[] | undefined) ?? [];
}

export function addFollows(method: AnyMethod, follows: FollowsDefinition): void {
  Reflect.defineMetadata(FOLLOWS, [...followsOf(method), follows], method);
}

/** On the method's function: its definitions, innermost first. */
const GUARDED = Symbol('CacheGuard:guarded');

export function definitionsOf(method: AnyMethod): readonly GuardedDefinition[] {
  return (Reflect.getOwnMetadata(GUARDED, method) as readonly GuardedDefinition[] | undefined) ?? [];
}

export function addDefinition(method: AnyMethod, definition: GuardedDefinition): void {
  Reflect.defineMetadata(GUARDED, [...definitionsOf(method), definition], method);
}

/** The space in which a `@Cached` method keeps its keys; `undefined`: the domain's own. */
export function spaceOf(definition: CachedDefinition, method: string): string | undefined {
  return definition.name ?? (definition.key ? undefined : method);
}

export function keepingOf(given: Keeping): Keeping {
  const { softTtl, hardTtl, stalePolicy, scope, revive, plain, aliasing, project } = given;
  return { softTtl, hardTtl, stalePolicy, scope, revive, plain, aliasing, project };
}
