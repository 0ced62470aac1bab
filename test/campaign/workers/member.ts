import 'reflect-metadata';
import { Module, type DynamicModule, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CacheGuard, CacheGuardModule, type LoadContext, type ReadTarget } from '../../../lib/index.js';
import { domainRules } from '../../history/history.js';
import { Recorder } from '../../history/recorder.js';
import { serve } from '../../support/worker-main.js';
import { Journal } from '../journal.js';
import { PendingWatch } from '../pending-watch.js';
import { COMMAND_TIMEOUT_MS, DOMAINS, VERSIONED, type Booted, type Domain, type MemberOptions } from '../protocol.js';
import { Random } from '../random.js';
import { Traffic } from '../traffic.js';

@Module({})
class AppModule {
  static of({ namespace, redisUrl }: MemberOptions): DynamicModule {
    const guard = { namespace, redisUrl, commandTimeout: COMMAND_TIMEOUT_MS, domains: DOMAINS };
    return { module: AppModule, imports: [CacheGuardModule.forRoot(guard)] };
  }
}

/** A process that was stopped, or had no time, for longer than this may be late with everything. */
const STALL_MS = 150;
const LOOK_EVERY_MS = 50;

let context: INestApplicationContext | undefined;
let traffic: Traffic | undefined;
let watchdog: NodeJS.Timeout | undefined;

/** A guard that tells some readers an old value: a planted defect. */
function lying(guard: CacheGuard, share: number, random: Random): CacheGuard {
  const first = new Map<string, unknown>();
  const getOrLoad = async <T>(target: ReadTarget<T>, load: (context: LoadContext<T>) => Promise<T>): Promise<T> => {
    const value = await guard.getOrLoad(target, load);
    if (target.domain !== 'balances') return value;
    const name = target.key as string;
    if (!first.has(name)) first.set(name, value);
    return random.chance(share) ? (first.get(name) as T) : value;
  };
  return new Proxy(guard, {
    get: (target, field) => {
      if (field === 'getOrLoad') return getOrLoad;
      const member = Reflect.get(target, field, target) as unknown;
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
}

async function boot(options: MemberOptions): Promise<Booted> {
  const random = new Random(options.seed);
  const journal = new Journal(options.journal);
  const now = (): number => Number(process.hrtime.bigint()) / 1e6 - options.zeroMs;
  context = await NestFactory.createApplicationContext(AppModule.of(options), { logger: false });
  const real = context.get(CacheGuard);
  const guard = options.lies > 0 ? lying(real, options.lies, random.fork()) : real;
  const { name } = options;

  const pending = new PendingWatch((one) => journal.record({ ...one, carriedOutAt: now() }));
  real.on(pending.onEvent);
  real.on((event) => {
    if (event.type !== 'store-error') return;
    const endedAt = now();
    journal.record({ op: 'fault', what: 'unanswered', process: name, beganAt: endedAt - COMMAND_TIMEOUT_MS, endedAt });
  });
  let lookedAt = now();
  watchdog = setInterval(() => {
    const at = now();
    if (at - lookedAt > LOOK_EVERY_MS + STALL_MS) {
      journal.record({ op: 'fault', what: 'process-paused', process: name, beganAt: lookedAt, endedAt: at });
    }
    lookedAt = at;
  }, LOOK_EVERY_MS);

  const recorder = new Recorder({ guard, process: name, now, record: journal.record });
  traffic = new Traffic({ options, guard, recorder, journal, pending, now, random });
  const policies = real.policies().map((policy) => {
    return [policy.domain, domainRules(policy, VERSIONED.includes(policy.domain as Domain))] as const;
  });
  return { rules: Object.fromEntries(policies) };
}

async function close(): Promise<void> {
  clearInterval(watchdog);
  await traffic?.stop();
  await context?.close();
}

serve({ boot, start: () => traffic?.start(), stop: () => traffic?.stop(), close });
