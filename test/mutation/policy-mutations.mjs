import { breaking } from './breaking.mjs';

const AGE = '04-bounded-age';
const WAIT = '05-bounded-wait';
const NESTED = 'composition';
const ANSWER = '06-failure-or-answer';
const INPUT = 'bad-input';

/**
 * Of the other promises: age, waits, failures, keys, values and the end.
 *
 * @type {import('./breaking.mjs').Mutation[]}
 */
export const policyMutations = [
  breaking(4)('nothing ends at the hard TTL', 'core/decide.ts', "if (nowMs >= hardMs) return load('expired');", '', [
    AGE,
    'no probe of the source prolongs the hard TTL, not even that of a stricter reader [memory]',
  ]),
  breaking(4)(
    'what is stored in the future is served',
    'core/decide.ts',
    "if (entry.beganMs > nowMs) return load('future');",
    '',
    [AGE, 'what is stored in the future is a miss, and does not stand in the way of what is loaded now [redis]'],
  ),
  breaking(4)(
    'a stand-in outlives its hard TTL',
    'engine/reading.ts',
    'if (nowMs >= me.fallbackUntilMs!) {',
    'if (false) {',
    [AGE, 'an old value does not stand in for a load that fails after its hard TTL [memory]'],
  ),
  breaking(4)(
    "age counts from the load's end",
    'engine/landing.ts',
    'const times = { beganMs: this.beganMs, loadMs };\n    const { maker } = this.parts;',
    'const { maker } = this.parts;\n    const times = { beganMs: maker.beganMs(attempt), loadMs };',
    [AGE, "age counts from the loader's call [memory]"],
  ),
  breaking(4)(
    'elapsed time is wall time',
    'core/clock.ts',
    'Math.max(clock.monotonic() - from.monotonic, clock.wall() - from.wall, 0)',
    'Math.max(clock.wall() - from.wall, 0)',
    [AGE, 'a wall clock that is set back prolongs nothing [memory]'],
  ),
  breaking(4)(
    'jitter lengthens',
    'core/jitter.ts',
    'Math.min(ttlMs, Math.max(1, Math.floor(ttlMs * (1 - share * random))))',
    'Math.floor(ttlMs * (1 + share * random))',
    [AGE, 'jitter only shortens (random = 0.5) [memory]'],
  ),

  breaking(5)(
    'a caller who leaves cancels the others',
    'engine/flight.ts',
    'if (!this.wanted()) this.abandon(',
    'this.abandon(',
    [WAIT, "a reader's abort ends his wait only, also when the load is his [memory]"],
  ),
  breaking(5)(
    'a load that was given up frees its slot',
    'engine/flight.ts',
    'void Promise.all([running.result, running.settled]).then(',
    'void Promise.all([running.result]).then(',
    [WAIT, 'a slot of the bulkhead is held until the loader settles, though its load was given up [memory]'],
  ),
  breaking(5)(
    'commands have no budget',
    'adapters/redis/budget.ts',
    'clock.schedule(ms, () => {',
    'clock.schedule(3_600_000, () => {',
    [WAIT, 'a Redis that hangs costs a read its command budgets, not more [redis]'],
  ),
  breaking(5)(
    'nested loads take a second slot',
    'engine/flight.ts',
    'if (this.nested) return await this.source.turn(this.abort.signal);',
    '',
    [NESTED, 'nested loads take no second slot of a bulkhead of one [memory]'],
  ),
  breaking(5)(
    'loads that read each other wait for each other',
    'engine/reading.ts',
    "if (frame && flights.wouldWaitForItself(open, frame)) return { kind: 'alone' };",
    '',
    [NESTED, 'two loads that read each other both end [memory]'],
  ),

  breaking(6)(
    'an answer counts as a failure',
    'core/resolve-policy.ts',
    'Number(status.call(error)) < 500',
    'Number(status.call(error)) < 0',
    [ANSWER, 'a 404 is delivered unchanged and takes the old value away [memory]'],
  ),
  breaking(6)(
    'an answer leaves the old value',
    'adapters/redis/scripts/commit.lua',
    "else\n  redis.call('DEL', KEYS[1])\nend",
    'end',
    [ANSWER, 'a 403 is delivered unchanged and takes the old value away [redis]'],
  ),
  breaking(7)(
    'nobody looks after a dead holder',
    'engine/holder-wait.ts',
    'this.clock.schedule(remainingMs + 10',
    'this.clock.schedule(remainingMs + 3_600_000',
    ['07-holder-death', 'the wait ends with the lease, not before and not much later [memory]'],
  ),
  breaking(8)(
    'a convoy behind a failing loader',
    'engine/flight-plan.ts',
    "policy.exclusive && !insist ? 'exclusive'",
    "policy.exclusive ? 'exclusive'",
    ['08-failing-loader', 'waiters elsewhere are released together: one load per process, all at once [memory]'],
  ),
  breaking(8)(
    'a failed holder wakes nobody',
    'adapters/redis/scripts/release.lua',
    '\nwake(KEYS[1]',
    '\n-- wake(KEYS[1]',
    ['08-failing-loader', 'waiters elsewhere are released together: one load per process, all at once [redis]'],
  ),
  breaking(8)(
    'failures do not back off',
    'adapters/redis/scripts/acquire.lua',
    "if ARGV[5] == '1' and back_off > now then",
    'if false then',
    ['08-failing-loader', 'where the old value is permitted, failures back off in the whole fleet (rates) [redis]'],
  ),
  breaking(11)(
    'the last byte of a version does not count',
    'adapters/redis/scripts/prelude.lua',
    'for i = 1, 8 do',
    'for i = 1, 7 do',
    ['11-monotonic-versions', 'versions that differ in the last bit only are told apart, up and down [redis]'],
  ),
  breaking(11)(
    'a removal forgets the version',
    'adapters/redis/scripts/commit.lua',
    "if floor and bytes_less(version, floor) then return finish('fenced-version') end",
    '',
    ['11-monotonic-versions', 'an invalidation that purges does not open the way back to an older version [redis]'],
  ),
  breaking(13)('a number and its text share a key', 'core/keys.ts', 'return `n.${value}`;', 'return `s.${value}`;', [
    '13-isolation',
    'no two keys of one place are one (property) [memory]',
  ]),
  breaking(13)(
    'two applications in one process share the engine',
    'nest/cache-guard.module.ts',
    'useFactory: () => new EngineSlot()',
    "useFactory: () => ((globalThis as Record<string, unknown>)['slot'] ??= new EngineSlot())",
    ['13-isolation', 'two applications in one process share nothing'],
  ),
  breaking(14)(
    'an uncacheable result goes to everybody',
    'engine/verdicts.ts',
    'return (_waiter, _before, starter) => (starter ? outcome',
    'return (_waiter, _before, starter) => (typeof starter === "boolean" ? outcome',
    ['14-uncacheable', 'goes to the caller whose loader ran; the others load for themselves, all at once [memory]'],
  ),
  breaking(14)(
    'uncacheable results leave no mark: later callers queue',
    'core/decide.ts',
    "load('absent') : { kind: 'pass' };",
    "load('absent') : load('absent');",
    ['14-uncacheable', 'a mark keeps later callers of every process from queueing behind a lease [memory]'],
  ),
  breaking(14)(
    'an exception in a codec leaks its lease',
    'engine/landing.ts',
    'this.committer!.mark(made, this.beganMs, this.now());',
    '',
    [INPUT, 'a codec that throws as it encodes: the value is returned, and no lease is left [memory]'],
  ),
  breaking(14)(
    'an exception in a function of the policy leaks its lease',
    'engine/landing.ts',
    "await this.committer?.release(NO_BACKOFF);\n    if (result.kind === 'threw') return failure",
    "if (result.kind === 'threw') return failure",
    [INPUT, 'isAbsent that throws: the value is returned, and no lease is left [memory]'],
  ),
  breaking(14)(
    'what is made from critical data is kept',
    'core/composition.ts',
    "?? (inner.freshness === 'critical' ? 'inner-critical' : undefined);",
    ';',
    [NESTED, 'experience over critical serves no old balance [memory]'],
  ),
  breaking(15)(
    'refreshes behind outlive the end',
    'engine/flights.ts',
    'if (flight.plan.background) flight.cancel(reason);',
    '',
    ['15-nothing-left', 'a refresh behind is given up at once [memory]'],
  ),
  breaking(15)('connections outlive the end', 'adapters/redis/redis-store.ts', 'this.topology.close();', '', [
    '15-nothing-left',
    'no connection [redis]',
  ]),
  breaking(16)('plain values are not frozen', 'engine/packing.ts', '    deepFreeze(value);\n', '', [
    '16-no-aliasing',
    'plain values: nobody can change what another has [memory]',
  ]),
  breaking(16)('rich values are shared', 'engine/packing.ts', '    unused = undefined;\n', '', [
    '16-no-aliasing',
    'values with dates, maps, sets and bytes are copied for each reader [memory]',
  ]),
  breaking(16)(
    'values that look like nothing are misses',
    'engine/hand-out.ts',
    '    return { value };\n',
    '    return value ? { value } : undefined;\n',
    [INPUT, 'the number 0 is a value: kept, and the same on hits [memory]'],
  ),
];
