import { thrownText } from '../../core/errors.js';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { ModuleRef, ModulesContainer } from '@nestjs/core';
import type { Clock } from '../../core/clock.js';
import {
  readWarming,
  refuseWarming,
  type WarmingInput,
  type WarmingList,
  type WarmingOptions,
} from '../../core/warming.js';
import type { WarmingReport } from '../../core/warming.js';
import { CacheGuard } from '../../engine/cache-guard.js';
import { Domains } from '../../engine/domains.js';
import type { Settings } from '../options.js';
import type { CachedDefinition } from '../metadata.js';
import { invalidDecoration } from '../method-wrapper.js';
import { CLOCK, SETTINGS } from '../tokens.js';
import { cachedOf, warmedMethods, type WarmedMethodOfHost } from './warmed-methods.js';
import { WarmingBar } from './warming-bar.js';
import {
  readSchedule,
  SCHEDULE_FIELDS,
  type ModuleWarmingInput,
  type ModuleWarmingOptions,
  type ReadSchedule,
  type WarmingEnvironment,
} from './warming-options.js';

/** From one look to the next whether another process has done what this one must wait for. */
const GATE_PAUSE_MS = 500;
/** Processes that start at different times come to the same warming at different times; one of them does it. */
const REST_SHARE = 0.8;
const NOBODY = 'at the start there is nobody for whom it could be loaded; leave it out';

interface Job {
  readonly options: WarmingOptions;
  readonly schedule: ReadSchedule;
}

/** Warms what an application's options and decorators say, when they say. */
@Injectable()
export class WarmingStarter {
  private readonly logger = new Logger('CacheGuard');
  private readonly ended = new AbortController();
  private readonly ends: (() => void)[] = [];
  private jobs: readonly Job[] = [];

  constructor(
    @Inject(CacheGuard) private readonly guard: CacheGuard,
    @Inject(Domains) private readonly domains: Domains,
    @Inject(SETTINGS) private readonly settings: Settings,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
    @Inject(ModuleRef) private readonly moduleRef: ModuleRef,
  ) {}

  /** @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`, `CG_INVALID_DECORATION`, `CG_UNKNOWN_DOMAIN`) */
  configure(): void {
    const written = this.settings.warming.map((given) => this.fromOptions(given));
    const decorated = warmedMethods(this.modules).map((found) => this.fromDecorator(found));
    this.jobs = [...written, ...decorated];
    const names = new Set<string>();
    for (const { options, schedule } of this.jobs) {
      const { name, domain, tiers } = readWarming(options);
      if (this.domains.policy(domain, undefined, `warming '${name}'`).scope === 'private')
        refuseWarming('domain', domain, `it is private, and ${NOBODY}`, name);
      if (names.has(name)) refuseWarming('name', name, 'give each warming a name of its own');
      names.add(name);
      const again = schedule.everyMs !== undefined || schedule.afterLoss;
      if (again && tiers.some((tier) => isSpent('keys' in tier ? tier.keys : tier.args)))
        refuseWarming(
          'every',
          'given',
          'an iterator can be used once only; give a list, or a function that gives one',
          name,
        );
    }
  }

  /**
   * Begins what is due at the start; resolves when what the start must wait for is done, or its time is over.
   *
   * @throws CacheGuardError (`CG_INVALID_OPTIONS`, `CG_UNUSABLE_KEY`)
   */
  async start(): Promise<void> {
    if (!this.settings.enabled) return;
    const silent = this.jobs.filter(({ schedule }) => !schedule.progress).map(({ options }) => options.name);
    const bar = new WarmingBar(process.stderr, new Set(silent));
    const hearing = this.guard.on((event) => {
      if (event.type === 'warming') bar.show(event);
      if (event.type === 'store-state' && event.state === 'up') this.afterLoss();
    });
    this.ends.push(hearing, () => bar.close());
    await Promise.all(this.jobs.map((job) => this.begin(job)));
  }

  /** Begins nothing more; what is under way is the guard's to end. */
  close(): void {
    this.ended.abort();
    for (const end of this.ends.splice(0)) end();
  }

  /** Rejects with what is refused at once. */
  private async begin(job: Job): Promise<void> {
    const { atStart, gate } = job.schedule;
    if (!atStart) return this.again(job);
    const first = this.guard.warm(job.options).done;
    const done = (gate ? this.untilWarm(job, first) : first).then(() => this.again(job));
    if (gate) await this.atMost(done, job);
  }

  /** Another process may be at it: what it has not done in time is done here. */
  private async untilWarm(job: Job, first: Promise<WarmingReport>): Promise<void> {
    let report: WarmingReport | undefined = await first;
    while (report?.state === 'elsewhere' && !this.ended.signal.aborted) {
      await this.pause(GATE_PAUSE_MS);
      report = await this.once(job);
    }
  }

  /** Never rejects. */
  private async once({ options }: Job, rest = options.rest): Promise<WarmingReport | undefined> {
    if (this.ended.signal.aborted) return undefined;
    try {
      return await this.guard.warm(rest === undefined ? options : { ...options, rest }).done;
    } catch (error) {
      this.logger.warn(`Warming '${options.name}' is refused: ${thrownText(error)}`);
      return undefined;
    }
  }

  private async atMost(done: Promise<void>, { options, schedule }: Job): Promise<void> {
    const over = this.pause(schedule.gateTimeoutMs).then(() => 'over');
    const first = await Promise.race([done, over]);
    if (first !== 'over' || this.ended.signal.aborted) return;
    this.logger.warn(
      `Warming '${options.name}' is not done after ${schedule.gateTimeoutMs / 1_000} s: the application starts, and the warming goes on.`,
    );
  }

  private again(job: Job): void {
    const { everyMs } = job.schedule;
    if (everyMs === undefined || this.ended.signal.aborted) return;
    void this.pause(everyMs)
      .then(() => this.once(job, job.options.rest ?? Math.floor(REST_SHARE * everyMs)))
      .then(() => this.again(job));
  }

  private afterLoss(): void {
    for (const job of this.jobs) if (job.schedule.afterLoss) void this.once(job);
  }

  private fromOptions(given: ModuleWarmingOptions): Job {
    const at = typeof given.name === 'string' ? given.name : undefined;
    const schedule = readSchedule(given, at ?? '(without a name)');
    const rest = Object.fromEntries(Object.entries(given).filter(([field]) => !SCHEDULE_FIELDS.includes(field)));
    if (!('tiers' in given)) return { options: this.made(rest as never, given.domain) as WarmingOptions, schedule };
    const tiers = Array.isArray(given.tiers)
      ? given.tiers.map((tier: ModuleWarmingInput) => this.made(tier, given.domain))
      : given.tiers;
    return { options: { ...rest, tiers } as WarmingOptions, schedule };
  }

  /** With functions that need nothing more, and the object that has the method. */
  private made(input: ModuleWarmingInput, domain: string): WarmingInput {
    const environment: WarmingEnvironment = { resolve: (token) => this.moduleRef.get(token, { strict: false }) };
    if (typeof input !== 'object' || input === null) return input;
    if ('method' in input) {
      const [provider, method] = Array.isArray(input.method) ? input.method : [];
      const host = typeof provider === 'function' ? this.hostOf(provider) : undefined;
      const cached = host && typeof method === 'string' ? cachedOf(host, method) : undefined;
      if (!host || !cached) {
        refuseWarming(
          'method',
          input.method,
          "give a singleton of the application and its @Cached method, such as [OfferService, 'find']",
        );
      }
      if (this.isPrivate(cached)) refuseWarming('method', method, `it is private, and ${NOBODY}`);
      if (cached.domain !== domain)
        refuseWarming('domain', domain, `the method caches in domain '${cached.domain}'; name that one`);
      return { ...input, host, method: method!, args: bound(input.args, environment) };
    }
    const { keys, load } = input;
    if (typeof load !== 'function') return input as never;
    return { ...input, keys: bound(keys, environment), load: (key, context) => load(key, context, environment) };
  }

  private hostOf(provider: abstract new (...args: never[]) => object): object | undefined {
    try {
      return this.moduleRef.get<object>(provider, { strict: false });
    } catch {
      return undefined;
    }
  }

  private isPrivate({ domain, keeping: { scope } }: CachedDefinition): boolean {
    return this.domains.policy(domain, { scope }).scope === 'private';
  }

  private fromDecorator({ host, method, place, options, cached }: WarmedMethodOfHost): Job {
    if (this.isPrivate(cached)) throw invalidDecoration('@Warmed', place, `it is private, and ${NOBODY}`);
    const { name = place.replaceAll(/[^\w.-]/g, '_').slice(0, 64), args } = options;
    const pace = Object.entries(options).filter(([field]) => !SCHEDULE_FIELDS.includes(field));
    const warmed: WarmingOptions = {
      ...Object.fromEntries(pace),
      name,
      domain: cached.domain,
      host,
      method,
      args: bound(args, host as never),
    };
    return { options: warmed, schedule: readSchedule(options, name) };
  }

  /** Ends early when the application does. */
  private pause(ms: number): Promise<void> {
    const { signal } = this.ended;
    return new Promise((resolve) => {
      const end = () => {
        cancel();
        signal.removeEventListener('abort', end);
        resolve();
      };
      const cancel = this.clock.schedule(ms, end);
      if (signal.aborted) end();
      else signal.addEventListener('abort', end, { once: true });
    });
  }
}

/** A list that needs nothing more. */
function bound<T, Given>(list: WarmingList<T, Given>, environment: Given): WarmingList<T> {
  return typeof list === 'function' ? () => list(environment) : list;
}

/** An iterator gives what it has to whoever asks first. */
function isSpent(list: WarmingList<unknown>): boolean {
  return typeof list === 'object' && typeof (list as Partial<Iterator<unknown>>).next === 'function';
}
