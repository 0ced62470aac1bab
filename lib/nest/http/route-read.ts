import { StreamableFile, type ExecutionContext } from '@nestjs/common';
import { isObservable } from 'rxjs';
import type { BypassReason } from '../../core/http/bypass.js';
import { asksForSource } from '../../core/http/cache-control.js';
import type { KeyPart } from '../../core/keys.js';
import { askPartition } from '../../core/partition.js';
import type { Policy } from '../../core/policy.js';
import type { LoadContext } from '../../core/targets.js';
import { ON_SERVED, type MethodTarget } from '../../engine/call.js';
import { tell } from '../../engine/event-hub.js';
import { isBehind } from '../../engine/load-frames.js';
import type { AnyMethod } from '../decorator-types.js';
import type { CachedDefinition } from '../metadata.js';
import type { GuardedCall } from '../method-wrapper.js';
import { hasNoKey, planRead, projected } from '../planned-read.js';
import { answerWith } from './answer-hooks.js';
import { factsOf, hasBody, textOf, type RequestFacts } from './request-facts.js';
import { faceOf } from './response-face.js';
import { RouteAnswer } from './route-answer.js';
import { Refusal, routeKeyOf } from './route-key-of.js';
import type { RouteCall } from './route-of.js';
import type { RoutePlan } from './route-plan.js';

/** How long what runs behind an old answer waits for that to be sent, in ms. */
const SENDING_MS = 1_000;

/** What the handler of a request gives, from the cache where that may be. Never fails over the cache's own trouble with a request. */
export async function readRoute(
  call: GuardedCall,
  definition: CachedDefinition,
  { context, known }: RouteCall,
): Promise<unknown> {
  const handler = Reflect.get(call.self, call.property) as AnyMethod;
  const plan = call.engine.routes.of(context.getClass(), call.property, handler, definition);
  const http = context.switchToHttp();
  const request = factsOf(http.getRequest<object>());
  const response = http.getResponse<object>();
  const policy = call.engine.domains.policy(definition.domain, definition.keeping, call.method);
  const face = faceOf(response);
  const shared = isShared(plan, policy);
  const personal = !shared || isSecret(policy) || refusesCredentials(plan, request);
  const answer = new RouteAnswer(face, request, plan, shared, personal, variesBy(plan, policy));
  answerWith(response, face.raw, answer);
  const read = new RouteRead(call, definition, context, plan, request, policy, answer);
  return read.run(known ? whyBypassed(plan, policy, request) : 'unknown-handler');
}

class RouteRead {
  constructor(
    private readonly call: GuardedCall,
    private readonly definition: CachedDefinition,
    private readonly context: ExecutionContext,
    private readonly plan: RoutePlan,
    private readonly request: RequestFacts,
    private readonly policy: Policy,
    private readonly answer: RouteAnswer,
  ) {}

  async run(reason: BypassReason | undefined): Promise<unknown> {
    this.answer.running = true;
    try {
      return await (reason ? this.bypass(reason) : this.answered());
    } finally {
      this.answer.running = false;
    }
  }

  private async answered(): Promise<unknown> {
    let key: ReturnType<typeof routeKeyOf>;
    try {
      key = routeKeyOf(this.call, this.definition, this.plan, this.request, this.context);
    } catch (error) {
      if (hasNoKey(error)) return this.bypass('unusable-key');
      throw error;
    }
    if (key instanceof Refusal) return this.bypass(key.reason);
    try {
      return await this.read(key);
    } catch (error) {
      if (hasNoKey(error)) return this.bypass('unusable-key');
      this.answer.threw();
      throw error;
    }
  }

  private async read(key: KeyPart): Promise<unknown> {
    const { call, answer, plan, request } = this;
    const again = () => routeKeyOf(call, this.definition, plan, request, this.context);
    const planned = planRead(call, this.definition, key, again);
    const target: MethodTarget = { ...planned.target, [ON_SERVED]: answer.onServed };
    const load = (directives: LoadContext) => this.watched(planned.load, directives);
    const { guard } = call.engine;
    const forced = plan.settings.noCache === 'honour' && asksForSource(textOf(request.headers['cache-control']));
    if (forced) answer.forced();
    const value = await (forced ? guard.refresh(target, load) : guard.getOrLoad(target, load));
    if (!answer.known) this.tell(this.whyUnkeyed());
    return value;
  }

  /** What only this answer can have is not kept: a stream is read once, and a hit would go without the cookie. */
  private async watched(load: (context: LoadContext) => Promise<unknown>, directives: LoadContext): Promise<unknown> {
    // What the handler does to the response must not be done to one that is still to be sent with another body.
    if (isBehind(directives)) await this.answer.gone(SENDING_MS);
    const before = this.answer.state();
    const value = await load(directives);
    const reason = isStream(value) ? 'stream' : this.changed(before);
    if (reason) {
      directives.doNotCache();
      this.tell(reason);
    }
    return value;
  }

  private changed(before: ReturnType<RouteAnswer['state']>): BypassReason | undefined {
    // What it had become when it was sent, by a time-out's filter for one, is not the handler's doing.
    const was = this.answer.done ? this.answer.end : before;
    if (!was) return undefined;
    const { status, cookies } = this.answer.state();
    if (cookies > was.cookies) return 'set-cookie';
    // A hit could not have it.
    return status === was.status ? undefined : 'status';
  }

  private whyUnkeyed(): BypassReason {
    const { partition, scope } = this.policy;
    if (partition && askPartition(partition).given === undefined) return 'no-partition';
    return scope === 'private' ? 'no-principal' : 'closing';
  }

  private async bypass(reason: BypassReason): Promise<unknown> {
    this.tell(reason);
    try {
      return await projected(this.call, this.definition);
    } catch (error) {
      this.answer.threw();
      throw error;
    }
  }

  private tell(reason: BypassReason): void {
    this.answer.bypassed(reason);
    const { domain } = this.definition;
    tell(this.call.engine.guard, { type: 'bypass', domain, origin: this.call.method, reason });
  }
}

function whyBypassed(plan: RoutePlan, policy: Policy, request: RequestFacts): BypassReason | undefined {
  const { settings } = plan;
  if (!settings.methods.has(request.method)) return 'method';
  if (plan.bypass) return plan.bypass;
  const isRead = request.method === 'GET' || request.method === 'HEAD';
  if (isRead && hasBody(request)) return 'body';
  return policy.scope === 'public' && refusesCredentials(plan, request) ? 'credentials' : undefined;
}

function refusesCredentials(plan: RoutePlan, request: RequestFacts): boolean {
  return plan.settings.credentials === 'refuse' && hasCredentials(plan, request);
}

function isSecret({ freshness, keep }: Policy): boolean {
  return freshness === 'critical' || keep === 'nothing';
}

/** Those that are part of the key are nobody else's. */
function hasCredentials({ keyedHeaders, keyedCookies }: RoutePlan, { headers, cookies }: RequestFacts): boolean {
  if (headers['authorization'] !== undefined && !keyedHeaders.has('authorization')) return true;
  return [...cookies.keys()].some((name) => !keyedCookies.has(name));
}

/** Whoever is downstream must know everything that the answer depends on. */
function isShared({ unseen, varied }: RoutePlan, { scope, partition }: Policy): boolean {
  // Many of them do not look at Vary: Cookie.
  return scope === 'public' && !partition && !unseen && !varied.cookies && !varied.headers.has('authorization');
}

function variesBy({ varied }: RoutePlan, { scope }: Policy): readonly string[] {
  const names = new Set([...varied.headers].map(asWritten));
  if (varied.cookies) names.add('Cookie');
  // A browser is shared by whoever logs in there, one after the other.
  if (scope === 'private') for (const name of ['Authorization', 'Cookie']) names.add(name);
  return [...names];
}

function asWritten(header: string): string {
  return header.replace(/(?:^|-)[a-z]/g, (start) => start.toUpperCase());
}

function isStream(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return (
    value instanceof StreamableFile || isObservable(value) || typeof (value as { pipe?: unknown }).pipe === 'function'
  );
}
