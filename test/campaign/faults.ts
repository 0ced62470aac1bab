import { setTimeout as pause } from 'node:timers/promises';
import type { FaultKind } from '../history/history.js';
import type { RedisServer } from '../support/redis-server.js';
import { commandName } from '../support/resp.js';
import type { CampaignFleet, Member } from './fleet.js';
import type { Random } from './random.js';

export interface FaultParts {
  readonly fleet: CampaignFleet;
  readonly redis: RedisServer;
  readonly random: Random;
  /** Puts faults on record, for one process or for all; the returned function is to be called when they are over. */
  readonly record: (kinds: readonly FaultKind[], process?: string) => () => void;
  /** How long a process went on with connections that had been dead, after new ones were possible again. */
  readonly discovered: (ms: number) => void;
}

type StoreFault = (parts: FaultParts) => Promise<void>;
type MemberFault = (parts: FaultParts, member: Member) => Promise<void>;

/** The server dies and comes back after a while. */
function crash(from: 'data' | 'snapshot' | 'empty', kinds: readonly FaultKind[]): StoreFault {
  return async ({ redis, random, record }) => {
    if (from === 'snapshot') {
      await redis.snapshot();
      await pause(random.spread(300, 6_000));
    }
    const away = record(['store-away']);
    const lost = record(kinds);
    await redis.kill();
    await pause(random.chance(0.5) ? 0 : random.spread(50, 3_000));
    // From here on it may answer at any moment.
    away();
    await redis.restart({ from });
    lost();
  };
}

export const STORE_FAULTS: Readonly<Record<string, StoreFault>> = {
  'Redis killed, back with its data': crash('data', []),
  'Redis killed, back empty': crash('empty', ['restart-empty']),
  'Redis killed, back from an older snapshot': crash('snapshot', ['restart-snapshot']),

  'Redis stopped': async ({ redis, random, record }) => {
    const over = record(['store-away']);
    await redis.pause();
    await pause(random.spread(200, 5_000));
    over();
    redis.resume();
  },

  FLUSHALL: async ({ redis, record }) => {
    const over = record(['restart-empty']);
    await redis.command('FLUSHALL');
    over();
  },

  'subscribers cut by CLIENT KILL': async ({ redis, record }) => {
    const over = record(['signals-cut']);
    await redis.command('CLIENT', 'KILL', 'TYPE', 'pubsub');
    over();
  },
};

const SCRIPTS = ['EVALSHA', 'EVAL', 'FCALL'];

export const MEMBER_FAULTS: Readonly<Record<string, MemberFault>> = {
  'process killed': async ({ fleet, record }, member) => {
    // Nobody calls the returned function: it stays dead.
    await fleet.replace(member, () => void record(['process-killed'], member.name));
  },

  'process stopped': async ({ random, record }, { worker, name }) => {
    const over = record(['process-paused'], name);
    await worker.pause();
    await pause(random.spread(200, 4_000));
    worker.resume();
    over();
  },

  'connections cut': async ({ random, record }, { proxy, name }) => {
    const over = record(['commands-cut', 'signals-cut'], name);
    if (random.chance(0.5)) {
      proxy.cut();
      return over();
    }
    proxy.down();
    await pause(random.spread(100, 3_000));
    over();
    proxy.up();
  },

  'replies late': async ({ random, record }, { proxy, name }) => {
    const over = record(['unanswered', 'signal-lost'], name);
    proxy.delay(random.spread(20, 600));
    await pause(random.between(500, 2_500));
    proxy.delay(0);
    over();
  },

  'connections half open': async ({ random, record, discovered }, { proxy, name }) => {
    const commands = record(['commands-cut'], name);
    const signals = record(['signals-cut'], name);
    proxy.halfOpen();
    await pause(random.spread(300, 4_000));
    signals();
    proxy.up();
    // Half of the times the dead connections are left for the process to find out.
    if (random.chance(0.5)) proxy.cut();
    const upAt = performance.now();
    while (proxy.counts.dead > 0 && performance.now() - upAt < 20_000) await pause(20);
    discovered(performance.now() - upAt);
    commands();
  },

  'replies lost': async ({ random, record }, { proxy, name }) => {
    const over = record(['unanswered', 'commands-cut'], name);
    const times = 1 + random.below(4);
    const fault = proxy.loseReplyOf((request) => SCRIPTS.includes(commandName(request)), times);
    await pause(random.between(300, 2_000));
    fault.release();
    over();
  },

  'replies swallowed for a while': async ({ random, record }, { proxy, name }) => {
    const over = record(['unanswered', 'commands-cut', 'signal-lost'], name);
    proxy.hang();
    await pause(random.spread(100, 2_500));
    proxy.resume();
    over();
  },
};

export const FAULT_NAMES = [...Object.keys(STORE_FAULTS), ...Object.keys(MEMBER_FAULTS)];

/** Does the fault, to whomever it concerns; whether there was somebody to do it to. */
export async function strike(name: string, parts: FaultParts): Promise<boolean> {
  const store = STORE_FAULTS[name];
  if (store) {
    await store(parts);
    return true;
  }
  const member = parts.fleet.anybody(parts.random);
  if (!member) return false;
  member.busy = true;
  try {
    await MEMBER_FAULTS[name]!(parts, member);
  } finally {
    member.busy = false;
  }
  return true;
}
