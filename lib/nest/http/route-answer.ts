import { isPersonal, type BypassReason } from '../../core/http/bypass.js';
import { cacheControlOf, lifetimeOf, NO_STORE, seconds, type Lifetime } from '../../core/http/cache-control.js';
import { formatCacheStatus, forwardOf, type CacheStatus } from '../../core/http/cache-status.js';
import { isNotModified, strongETag } from '../../core/http/conditional.js';
import { appendVary } from '../../core/http/vary.js';
import type { Served } from '../../engine/call.js';
import type { RequestFacts } from './request-facts.js';
import { textOf } from './request-facts.js';
import type { ResponseFace } from './response-face.js';
import type { RoutePlan } from './route-plan.js';

/** What is known of one answer of a cached route, until its headers are written: when it is sent, behind everybody who sets some. */
export class RouteAnswer {
  private served: Served | undefined;
  private reason: BypassReason | undefined;
  private asked = false;
  private failed = false;
  private finished = false;

  constructor(
    private readonly face: ResponseFace,
    private readonly request: RequestFacts,
    private readonly plan: RoutePlan,
    /** Whether caches that serve more than one user may keep it. */
    private readonly shared: boolean,
    /** Headers that the answer depends on. */
    private readonly varies: readonly string[],
  ) {}

  readonly onServed = (served: Served): void => {
    this.served = served;
  };

  get known(): boolean {
    return this.served !== undefined;
  }

  get done(): boolean {
    return this.finished || this.face.sent;
  }

  bypassed(reason: BypassReason): void {
    this.reason = reason;
  }

  /** The client has asked for the source's own answer. */
  forced(): void {
    this.asked = true;
  }

  /** The handler, or the cache, threw: what is sent is an exception filter's. */
  threw(): void {
    this.failed = true;
  }

  /** What a handler may change of the response while it runs. */
  state(): { readonly status: number; readonly cookies: number } {
    return { status: this.face.status, cookies: this.face.cookies() };
  }

  /**
   * Writes the headers.
   *
   * @param body what is sent; `undefined`: nobody knows it beforehand
   * @returns whether the client has it already, so that a 304 goes out in its place; `undefined`: that is for others to say
   */
  finish(body: string | Uint8Array | undefined): boolean | undefined {
    if (this.done) return undefined;
    this.finished = true;
    const { face } = this;
    const lifetime = this.lifetime();
    const vary = appendVary(face.get('vary'), this.varies);
    if (vary !== undefined && vary !== face.get('vary')) face.set('Vary', vary);
    face.append('Cache-Status', formatCacheStatus(this.status(lifetime)));
    const control = this.cacheControl(lifetime);
    if (control !== undefined && face.get('cache-control') === undefined) face.set('Cache-Control', control);
    const ageS = lifetime ? seconds(lifetime.ageMs) : 0;
    if (lifetime && this.good && (this.hit || ageS > 0)) face.set('Age', String(ageS));
    return this.conditional(body, control);
  }

  private get hit(): boolean {
    return this.served?.state === 'fresh' || this.served?.state === 'stale';
  }

  private get good(): boolean {
    return !this.failed && this.plan.settings.statuses.has(this.face.status);
  }

  private lifetime(): Lifetime | undefined {
    const { served } = this;
    if (!served?.entry) return undefined;
    const staleMs = served.state === 'stale' ? served.staleMs : undefined;
    return lifetimeOf(served.call.policy, served.entry, served.nowMs, staleMs);
  }

  private status(lifetime: Lifetime | undefined): CacheStatus {
    const { served, reason } = this;
    if (!served) {
      if (reason === undefined) return { hit: false, fwd: 'miss', detail: this.failed ? 'exception' : undefined };
      return { hit: false, fwd: reason === 'method' ? 'method' : 'bypass', detail: reason };
    }
    const ttlMs = lifetime && lifetime.freshMs - lifetime.ageMs;
    if (this.hit) return { hit: true, ttlMs, detail: served.standsIn ? 'stale-on-error' : undefined };
    return {
      hit: false,
      fwd: this.asked ? 'request' : forwardOf(served.cause),
      ttlMs,
      stored: served.stored,
      collapsed: served.collapsed,
      detail: reason ?? (served.entry ? undefined : 'uncacheable'),
    };
  }

  /** `undefined`: nothing is said, and the answer is what it would be without the cache. */
  private cacheControl(lifetime: Lifetime | undefined): string | undefined {
    const { served, reason } = this;
    if (this.face.cookies() > 0) return `private, ${NO_STORE}`;
    if (!served && reason !== undefined) return isPersonal(reason) ? `private, ${NO_STORE}` : undefined;
    if (!served || !this.good) return NO_STORE;
    return cacheControlOf(served.call.policy, served.entry, lifetime, this.shared);
  }

  private conditional(body: string | Uint8Array | undefined, control: string | undefined): boolean | undefined {
    const { face, request } = this;
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    const isFound = face.status >= 200 && face.status <= 299;
    if (!isRead || !isFound || !this.served || control === NO_STORE) return undefined;
    if (body !== undefined && face.get('etag') === undefined) face.set('ETag', strongETag(body));
    return isNotModified(textOf(request.headers['if-none-match']), face.get('etag'));
  }
}
