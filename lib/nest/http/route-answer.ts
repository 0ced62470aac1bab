import { isPersonal, type BypassReason } from '../../core/http/bypass.js';
import { cacheControlOf, lifetimeOf, NO_STORE, seconds, type Lifetime } from '../../core/http/cache-control.js';
import { formatCacheStatus, forwardOf, type CacheStatus } from '../../core/http/cache-status.js';
import { isNotModified, strongETag } from '../../core/http/conditional.js';
import { appendVary } from '../../core/http/vary.js';
import type { Served } from '../../engine/call.js';
import { withdrawForCookies } from './late-cookies.js';
import { textOf, type RequestFacts } from './request-facts.js';
import type { ResponseFace } from './response-face.js';
import type { RoutePlan } from './route-plan.js';

const PRIVATE = `private, ${NO_STORE}`;

/** What a handler may change of the response while it runs. */
interface ResponseState {
  readonly status: number;
  readonly cookies: number;
}

/** What is known of one answer of a cached route, until its headers are written: when it is sent, behind everybody who sets some. */
export class RouteAnswer {
  /** While the route's call is under way. */
  running = false;
  private served: Served | undefined;
  private reason: BypassReason | undefined;
  private asked = false;
  private failed = false;
  private atEnd: ResponseState | undefined;

  constructor(
    private readonly face: ResponseFace,
    private readonly request: RequestFacts,
    private readonly plan: RoutePlan,
    /** Whether caches that serve more than one user may keep it. */
    private readonly shared: boolean,
    /** Whether it may be somebody's own, also when it does not come from the cache. */
    private readonly personal: boolean,
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
    return this.atEnd !== undefined || this.face.sent;
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

  state(): ResponseState {
    return { status: this.face.status, cookies: this.face.cookies() };
  }

  /** As its headers were written; `undefined` before, and where that was not seen. */
  get end(): ResponseState | undefined {
    return this.atEnd;
  }

  /** Resolves when the response is of no concern any more, and at the latest after `ms` milliseconds. */
  gone(ms: number): Promise<void> {
    return this.face.gone(ms);
  }

  /**
   * Writes the headers.
   *
   * @param body what is sent; `undefined`: nobody knows it beforehand
   * @returns whether the client has it already, so that a 304 goes out in its place; `undefined`: that is for others to say
   */
  finish(body: string | Uint8Array | undefined): boolean | undefined {
    if (this.done) return undefined;
    this.atEnd = this.state();
    const { face } = this;
    const lifetime = this.lifetime();
    const vary = appendVary(face.get('vary'), this.varies);
    if (vary !== undefined && vary !== face.get('vary')) face.set('Vary', vary);
    face.append('Cache-Status', formatCacheStatus(this.status(lifetime)));
    const control = this.cacheControl(lifetime);
    const ours = control !== undefined && face.get('cache-control') === undefined;
    if (ours) face.set('Cache-Control', control);
    const ageS = lifetime ? seconds(lifetime.ageMs) : 0;
    if (lifetime && this.good && (this.hit || ageS > 0)) face.set('Age', String(ageS));
    const etag = this.tag(body, control);
    withdrawForCookies(face.raw, { control: ours ? control : undefined, etag }, PRIVATE);
    return this.notModified(control);
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
      const fwd = this.asked ? 'request' : 'miss';
      if (reason === undefined) return { hit: false, fwd, detail: this.failed ? 'exception' : undefined };
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
    if (this.face.cookies() > 0) return PRIVATE;
    if (!served && reason !== undefined) return this.personal || isPersonal(reason) ? PRIVATE : undefined;
    if (!served || !this.good) return NO_STORE;
    return cacheControlOf(served.call.policy, served.entry, lifetime, this.shared);
  }

  private isConditional(control: string | undefined): boolean {
    const { face, request } = this;
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    const isFound = face.status >= 200 && face.status <= 299;
    return isRead && isFound && this.served !== undefined && !control?.endsWith(NO_STORE);
  }

  /** @returns the entity tag that was set */
  private tag(body: string | Uint8Array | undefined, control: string | undefined): string | undefined {
    const { face } = this;
    if (!this.isConditional(control) || body === undefined || face.get('etag') !== undefined) return undefined;
    const etag = strongETag(body);
    face.set('ETag', etag);
    return etag;
  }

  private notModified(control: string | undefined): boolean | undefined {
    if (!this.isConditional(control)) return undefined;
    return isNotModified(textOf(this.request.headers['if-none-match']), this.face.get('etag'));
  }
}
