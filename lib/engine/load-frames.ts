import { Inheritance, whyConfidential, whyNever, type InnerValue } from '../core/composition.js';
import { parseDuration } from '../core/durations.js';
import { CacheGuardError, describeValue } from '../core/errors.js';
import { OptionsChecker } from '../core/field-checker.js';
import type { EntryKey } from '../core/keys.js';
import type { LoadContext, ServedValue } from '../core/targets.js';
import { checkVersion } from '../core/version.js';
import type { GuardedCall } from './call.js';
import { OwnContext } from './own-context.js';

/** Of a call, what says whose its value is. */
type Asked = Pick<GuardedCall, 'key' | 'policy' | 'principal'>;

const check: OptionsChecker = new OptionsChecker('CacheGuard.trace');

type Previous = LoadContext['previous'];

/** What a load said about its own result. */
export class LoadDirectives implements LoadContext {
  refused = false;
  unmodified = false;
  /** Nobody waits for this load: its reader was given an old value. */
  behind = false;
  /** What the key was made from was changed before the load ran: the result is of another key. */
  strayed = false;
  softTtlMs: number | undefined;
  hardTtlMs: number | undefined;
  version: bigint | undefined;
  etag: string | undefined;
  /** Share by which TTLs are randomly shortened, if that is more than the policy's. */
  spread = 0;

  constructor(
    readonly signal: AbortSignal,
    readonly previous: Previous,
  ) {}

  // Bound, so that a loader may take the context apart.
  readonly doNotCache = (): void => {
    this.refused = true;
  };

  readonly setTtl = ({ softTtl, hardTtl }: Parameters<LoadContext['setTtl']>[0]): void => {
    if (softTtl !== undefined) this.softTtlMs = ttl('softTtl', softTtl);
    if (hardTtl !== undefined) this.hardTtlMs = ttl('hardTtl', hardTtl);
  };

  readonly setVersion = (version: bigint | string): void => {
    if (typeof version === 'string') this.etag = version;
    else this.version = checkVersion(version);
  };

  readonly notModified = (): unknown => {
    if (!this.previous) {
      throw new CacheGuardError(
        'CG_NOTHING_TO_KEEP',
        'notModified() was called, but nothing is cached; ask for `previous` first and load in full when it is undefined.',
      );
    }
    this.unmodified = true;
    return this.previous.value;
  };
}

function ttl(field: string, value: unknown): number {
  const ms = parseDuration(value);
  if (ms !== undefined && ms > 0) return ms;
  throw new CacheGuardError(
    'CG_INVALID_POLICY',
    `setTtl: ${field} = ${describeValue(value)} is refused; give milliseconds above 0 or a text such as '30s', or call doNotCache().`,
    { field },
  );
}

/** A load in progress, as the code that it runs sees it. */
export class LoadFrame {
  readonly inheritance = new Inheritance();

  constructor(
    /** The engine that runs it: two applications in one process nest without sharing anything. */
    private readonly owner: object,
    readonly call: Asked,
    readonly directives: LoadContext,
    /** The flight that waits for this load, if one does. */
    readonly flight: object | undefined,
    private readonly parent: LoadFrame | undefined,
    private readonly ownsSlot = true,
  ) {}

  /** Whether this load, or one that it is part of, holds a slot of a bulkhead. */
  get holdsSlot(): boolean {
    return this.ownsSlot || (this.parent?.holdsSlot ?? false);
  }

  /** Whether this load, or one that it is part of, makes the value of `key`. */
  makes(owner: object, key: EntryKey): boolean {
    return (this.owner === owner && this.call.key === key) || (this.parent?.makes(owner, key) ?? false);
  }

  /** Flights that cannot land before this load is done. */
  flights(): object[] {
    const outer = this.parent?.flights() ?? [];
    return this.flight ? [this.flight, ...outer] : outer;
  }

  /** A guarded value was read inside this load. */
  inherit(owner: object, inner: InnerValue): void {
    this.inheritance.add(this.known(owner, inner));
    // Of a write nothing is served that would tell the load around it.
    if (!this.ownsSlot) this.parent?.inherit(owner, inner);
  }

  /** A guarded value is asked for inside this load: an error, or that there is none, tells of it as well, through all loads around. */
  ask(owner: object, asked: Asked): void {
    // Who asks for what he makes himself learns nothing.
    if (owner === this.owner && asked.key === this.call.key) return;
    const why = whyNever(asked.policy, this.call.policy, this.isOwner(owner, asked));
    if (why) this.inheritance.refuse(asked.policy.domain, why);
    this.parent?.ask(owner, asked);
  }

  /** Asked for inside this load, a value of nobody knows whom. */
  askUnknown(domain: string): void {
    this.inheritance.refuse(domain, 'inner-private');
    this.parent?.askUnknown(domain);
  }

  /** What a value inherits that this load puts. */
  heir(owner: object, put: Asked): Inheritance {
    const heir = new Inheritance();
    const { policy } = this.call;
    heir.add(this.known(owner, this.inheritance.whole(policy.domain)));
    const why = whyConfidential(policy, put.policy, this.isOwner(owner, put));
    if (why) heir.refuse(policy.domain, why);
    return heir;
  }

  /** Whether a value is of the principal whose value this load makes. */
  isOwner(owner: object, { principal }: Asked): boolean {
    return owner === this.owner && principal === this.call.principal;
  }

  /** Times and generations of another application's store mean nothing to this one. */
  private known(owner: object, inner: InnerValue): InnerValue {
    return owner === this.owner ? inner : { ...inner, stamps: [], uncacheable: 'inner-uncacheable' };
  }
}

const frames = new OwnContext<LoadFrame | undefined>();
const traces = new OwnContext<ServedValue[]>();

export function currentFrame(): LoadFrame | undefined {
  return frames.current;
}

export function runInFrame<T>(frame: LoadFrame | undefined, run: () => T): T {
  return frames.run(frame, run);
}

/** Collects what is served while `run` runs, except inside loads. */
export async function collectServed<T>(run: () => Promise<T>): Promise<{ value: T; served: ServedValue[] }> {
  check.needFn('run', run, '()');
  const served: ServedValue[] = [];
  return { value: await traces.run(served, run), served };
}

/** Whether somebody wants to know what is served here. */
export function currentTrace(): ServedValue[] | undefined {
  const trace = traces.current;
  return trace && frames.current === undefined ? trace : undefined;
}

export const NEVER_ABORTED: AbortSignal = new AbortController().signal;

/** Whether nobody waits for the load that was given this. */
export function isBehind(context: LoadContext): boolean {
  return context instanceof LoadDirectives && context.behind;
}

/**
 * The context of the load in progress: abort signal, previous value, and what can be said of the result. Outside a load (a class
 * that was constructed without Nest, a call that goes past the cache) an inert one, so that the method works all the same.
 */
export function loadContext<T = unknown>(): LoadContext<T> {
  return (frames.current?.directives ?? new LoadDirectives(NEVER_ABORTED, undefined)) as LoadContext<T>;
}
