import { breaking } from './breaking.mjs';

const ONE_FLIGHT = '01-one-flight';
const ROUTES = '01-one-flight-methods';
const SET = '02-no-stale-set';
const WRITE = '02-no-stale-write';
const FAULTS = '02-no-stale-faults';
const LATER = '03-read-after-invalidate';
const SERVED = '03-served-after-invalidate';

/**
 * Of promises 1 to 3: flights, fences, and who may be given what.
 *
 * @type {import('./breaking.mjs').Mutation[]}
 */
export const protocolMutations = [
  breaking(1)(
    'readers of one process do not join',
    'engine/flights.ts',
    'return this.open.get(key);',
    'return undefined;',
    [ONE_FLIGHT, 'a reader who comes while the load runs joins it [memory]'],
  ),
  breaking(1)(
    'no exclusion between processes',
    'engine/flight-plan.ts',
    "mode: policy.exclusive && !insist ? 'exclusive' : 'shared',",
    "mode: 'shared',",
    [ONE_FLIGHT, '400 readers of a cold key in 4 processes cost one load [memory]'],
  ),
  breaking(1)(
    "a lease won just after another's commit (Redis)",
    'adapters/redis/scripts/acquire.lua',
    "if ARGV[2] ~= '*' then",
    'if false then',
    [ONE_FLIGHT, "a lease asked for before another's commit and won after it gives his entry [redis]"],
  ),
  breaking(1)(
    "a lease won just after another's commit (memory)",
    'adapters/memory/memory-store.ts',
    'if (seenId !== undefined && kept &&',
    'if (false && kept &&',
    [ONE_FLIGHT, "a lease asked for before another's commit and won after it gives his entry [memory]"],
  ),
  breaking(1)('leases of long loads are not renewed', 'engine/lease-keeper.ts', 'void this.renew(kept.attempt);', '', [
    ONE_FLIGHT,
    'a load that outlasts its lease keeps it by renewing [memory]',
  ]),
  breaking(1)(
    'what a framework hands to a route is part of the call',
    'nest/method-wrapper.ts',
    'const declared = noParameters ? [] : args;',
    'const declared = args;',
    [ROUTES, 'a guarded method that is also a route costs one load, for requests and calls together'],
  ),
  breaking(1)(
    'a guarded method loses its route',
    'nest/method-wrapper.ts',
    'Reflect.defineMetadata(key, Reflect.getMetadata(key, body), wrapper);',
    '',
    [ROUTES, 'a guarded method that is also a route costs one load, for requests and calls together'],
  ),

  breaking(2)(
    'a commit does not ask for its token (Redis)',
    'adapters/redis/scripts/commit.lua',
    "if not mine or tonumber(mine) <= now then return finish('fenced-token') end",
    '',
    [SET, 'a load that an invalidation of its key crossed is not kept [redis]'],
  ),
  breaking(2)(
    'an invalidation leaves the tokens alive (memory)',
    'adapters/memory/lease.ts',
    'voidAll(): void {\n    this.attempts.clear();',
    'voidAll(): void {',
    [SET, 'a load that an invalidation of its key crossed is not kept [memory]'],
  ),
  breaking(2)(
    'an invalidation leaves the tokens alive',
    'adapters/redis/scripts/invalidate.lua',
    'if own(lease) then void_all(lease) end',
    '',
    [SET, 'a refresh behind that an invalidation crossed is not kept [redis]'],
  ),
  breaking(2)('a put leaves the tokens alive', 'adapters/redis/scripts/commit.lua', 'void_all(KEYS[2])', '', [
    SET,
    'a load that a put crossed does not replace what was put [redis]',
  ]),
  breaking(2)(
    'two attempts of one process share a token',
    'adapters/system.ts',
    '${(++attempts).toString(36)}',
    '${attempts}',
    [SET, "two loads of one process have a token each: the older one's fence outlives the younger's start [memory]"],
  ),
  breaking(2)(
    'the generations that an entry carries are not compared',
    'core/generations.ts',
    'for (const stamp of stamps) {',
    'for (const stamp of [] as GenerationStamp[]) {',
    [WRITE, 'a write-through that overlaps an invalidation of its tag is not kept [memory]'],
  ),
  breaking(2)(
    'a load that began earlier replaces one that began later',
    'adapters/memory/memory-store.ts',
    'beganOf(old) > beganOf(bytes) &&',
    'false &&',
    [SET, 'without exclusion, a load that began earlier does not replace one that began later [memory]'],
  ),
  breaking(2)(
    'a commit that comes late is carried out',
    'adapters/redis/scripts/commit.lua',
    "if now > tonumber(ARGV[10]) * 1000 then return {'late', int(now)} end",
    '',
    [FAULTS, 'a commit that arrives when nobody waits for its answer any more does nothing [redis]'],
  ),
  breaking(2)(
    'another server process is taken for the same: tokens',
    'adapters/redis/redis-store.ts',
    'if (epoch !== request.epoch) return',
    'if (false) return',
    [FAULTS, 'a load that a restart crossed has no right to commit to the new server process'],
  ),

  breaking(3)(
    'a reader is given what a fenced flight that he joined has loaded',
    'engine/landing.ts',
    'if (!held) return AGAIN_INSISTING;',
    'if (!held) return given;',
    [LATER, 'a load that began before (key, unheard) [memory]'],
  ),
  breaking(3)(
    "generations are not compared with the commit's reply",
    'engine/committer.ts',
    "return moved(stamps, reply.generations) ? 'generation' : undefined;",
    'return undefined;',
    [LATER, 'a load that began before (tag, unheard) [memory]'],
  ),
  breaking(3)(
    'a flight whose commit is under way may be joined',
    'engine/flight.ts',
    "this.phase = 'sealed';\n      this.close(this);",
    "this.phase = 'sealed';",
    [LATER, 'a commit that was under way (key) [memory]'],
  ),
  breaking(3)(
    'a wake-up read that was sent already may be joined',
    'engine/flight.ts',
    "waiter.arrived < asked ? { kind: 'snapshot', snapshot, insist }",
    "true ? { kind: 'snapshot', snapshot, insist }",
    [LATER, 'a read after a wake-up that was sent before (key) [memory]'],
  ),
  breaking(3)(
    'a read that was sent already may be joined',
    'adapters/redis/read-batch.ts',
    'this.composed = new Map();',
    '',
    [LATER, 'the bytes of a read that are still on the network [redis]'],
  ),
  breaking(3)(
    'who waited in vain waits for the next process again',
    'engine/flight.ts',
    'this.land(asked, snapshot, this.holder.loadWasAwaited)',
    'this.land(asked, snapshot, false)',
    [SERVED, "nor does one who first waited for another process's load in vain [memory]"],
  ),
  breaking(3)(
    'what was invalidated is not marked',
    'adapters/memory/memory-store.ts',
    '{ bytes: markedStale(bytes, nowMs), untilMs }',
    '{ bytes, untilMs }',
    [SERVED, 'stale policies: the old value, marked stale, in every process (key) [memory]'],
  ),
  breaking(3)(
    'what a tag removed is served as stale',
    'core/generations.ts',
    "else if (now.removed > stamp.value) return { kind: 'removed' };",
    '',
    [SERVED, 'stale policies: nothing of what was removed (tag) [memory]'],
  ),
];
