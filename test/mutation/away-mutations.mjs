import { connectionMutations } from './away-connection-mutations.mjs';
import { breaking, breakingUnit } from './breaking.mjs';

const AWAY = '09-redis-away';
const LOADS = '09-away-loads';
const PENDING = '09-pending-invalidations';
const SETTLING = '09-settling';
const BREAKER = '09-breaker';

const IN_TIME = 'reads are answered in time, and cached again after it [redis]';
const EVERYWHERE = 'is pending, counts here at once, and everywhere after the return [redis]';
const KEPT = 'engine/pending';
const HEALTH = 'engine/store-health';
const unit = breakingUnit(9);

/**
 * Of promise 9: what happens while Redis is away, and on its return.
 *
 * @type {import('./breaking.mjs').Mutation[]}
 */
export const awayMutations = [
  // Reads while it is away.
  breaking(9)(
    'away: a read has no time of its own',
    'adapters/redis/redis-store.ts',
    "(work) => this.bounded('a read', work)",
    '(work) => work',
    [AWAY, `it hangs: ${IN_TIME}`],
  ),
  breaking(9)(
    'away: who may have an old value waits for a store that does not answer',
    'engine/reading.ts',
    'await this.me.within(this.look(), standsIn)',
    'await this.me.within(this.look(), false)',
    [BREAKER, 'who may have an old value waits for a hung store no longer than his soft time-out [redis]'],
  ),
  breaking(9)(
    'away: a server that takes no writes passes for a healthy one',
    'adapters/redis/scripts/beat.lua',
    "if string.find(swept.err, 'READONLY', 1, true) then return redis.error_reply(swept.err) end",
    '',
    [AWAY, `it takes no writes (READONLY): ${IN_TIME}`],
  ),
  breaking(9)(
    'away: scripts are not sent again to a server that has forgotten them',
    'adapters/redis/script.ts',
    "if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;",
    'throw error;',
    [AWAY, `it has forgotten its scripts (NOSCRIPT): ${IN_TIME}`],
  ),
  breaking(9)(
    'away: what memory gives without the store passes for fresh',
    'engine/near-cache.ts',
    'found: { ...kept.seen.found, doubt }, nowMs',
    'found: { ...kept.seen.found, doubt: undefined }, nowMs',
    [LOADS, 'what was loaded meanwhile is kept in memory, as stale, up to its hard TTL [redis]'],
  ),
  breaking(9)(
    'away: what a server has lost, memory does not stand in for',
    'engine/lookup.ts',
    '(this.survivor(call, reply) ?? seen)',
    'seen',
    [SETTLING, 'empty: memory stands in for a source that fails, until the fleet has settled [redis]'],
  ),
  breaking(9)(
    'away: memory stands in for what somebody may have removed',
    'engine/lookup.ts',
    ' || entry.epoch === epoch',
    '',
    [SETTLING, 'not empty, but without one key: nothing stands in, it may have been removed [redis]'],
  ),
  breaking(9)(
    'away: memory stands in long after the return',
    'engine/lookup.ts',
    ' || !this.health.doubts(entry.beganMs, nowMs)) return undefined;',
    ') return undefined;',
    [SETTLING, 'empty: memory stands in for a source that fails, until the fleet has settled [redis]'],
  ),
  breaking(9)(
    'away: without the store, the source is asked again at once after a failure',
    'engine/landing.ts',
    'if (!this.attempt && staleAllowed) this.parts.quiet.set(key, true, { ttl: backoffBaseMs });',
    '',
    [
      LOADS,
      'a failing source: the old value where it is permitted, and no more attempts than its pauses allow [redis]',
    ],
  ),
  breaking(9)(
    'away: an answer leaves the old value in memory',
    'engine/landing.ts',
    'this.parts.near.drop(call.key);',
    '',
    [LOADS, 'an answer that was thrown is delivered, and the old value is not served in its place later [redis]'],
  ),
  breaking(9)(
    'away: memory keeps what was made from a critical value',
    'engine/landing.ts',
    '? maker.fromValue(call, this.unleased!, value, directives, inheritance, times)',
    '? maker.fromValue(call, this.unleased!, value, directives, new Inheritance(), times)',
    [LOADS, 'what was made from a critical value is not kept in memory either [redis]'],
  ),
  breaking(9)(
    'away: refreshes behind go before waiting persons',
    'engine/flight.ts',
    "this.source.enter(this.urgent() ? 'foreground' : 'background')",
    "this.source.enter('background')",
    [LOADS, 'a waiting person goes before the refreshes behind [redis]'],
  ),
  breaking(9)(
    'away: loads without a lease take no place in the bulkhead',
    'engine/flight.ts',
    'const free = await this.enterBulkhead();\n    if (free) await this.load(free);',
    'await this.load(() => {});',
    [LOADS, 'no more of them run at once than the bulkhead has places [redis]'],
  ),
  breaking(9)(
    'away: a load without a lease serves who came after its call',
    'engine/landing.ts',
    "return (_waiter, before) => (before ? { kind: 'value', handout: own, entry: undefined } : AGAIN);",
    "return () => ({ kind: 'value', handout: own, entry: undefined });",
    [LOADS, 'a reader who comes while a load runs is not given what it began before, under never [redis]'],
  ),
  // Pending invalidations.
  breaking(9)(
    'away: an invalidation that failed is not kept',
    'engine/invalidations.ts',
    'if (!this.closed) this.pending.add(invalidation);',
    '',
    [PENDING, `a key: ${EVERYWHERE}`],
  ),
  breaking(9)(
    'away: memory keeps what was invalidated',
    'engine/invalidations.ts',
    "if (invalidation.scope === 'key') this.parts.near.drop(invalidation.key);",
    "if (invalidation.scope === 'key') return;",
    [PENDING, `a key: ${EVERYWHERE}`],
  ),
  breaking(9)(
    'away: memory keeps what carries an invalidated tag',
    'engine/invalidations.ts',
    'else this.parts.near.dropCarriers(invalidation.generation);',
    '',
    [PENDING, `a tag: ${EVERYWHERE}`],
  ),
  breaking(9)(
    'away: a put is not made an invalidation',
    'engine/writes.ts',
    "return { outcome: await this.invalidate(call, reached.version), stored: false, reason: 'store-away' };",
    "return { outcome: 'pending', stored: false, reason: 'store-away' };",
    [PENDING, `a put: ${EVERYWHERE}`],
  ),
  breaking(9)(
    'away: a write-through is not made an invalidation',
    'engine/writes.ts',
    'const kept = token ? this.commit(call, token, value, directives, frame.inheritance) : this.invalidate(call);',
    'const kept = token ? this.commit(call, token, value, directives, frame.inheritance) : Promise.resolve();',
    [PENDING, `a write-through: ${EVERYWHERE}`],
  ),
  breaking(9)(
    'away: a load that is known to be in vain is joined',
    'engine/invalidations.ts',
    'this.flights.void(invalidation);',
    '',
    [PENDING, 'a load that began before a command that failed without an outage is not joined [redis]'],
  ),
  breaking(9)(
    'away: the store is believed about what is pending',
    'engine/lookup.ts',
    'this.refuseIfPending(call, call.generations);',
    '',
    [PENDING, 'an answer that was sent before it was carried out, and comes after, is not believed [redis]'],
  ),
  breaking(9)(
    'away: the store is believed about what carries a pending tag of another domain',
    'engine/lookup.ts',
    'this.refuseIfPending(call, this.parse(call, reply).entry?.stamps.map(({ name }) => name) ?? []);',
    '',
    [PENDING, 'is carried out before anything is believed that Redis says about it [redis]'],
  ),
  breaking(9)(
    'away: nothing is tried for the last time at shutdown',
    'engine/invalidations.ts',
    'await this.pending.carryOut(this.carryOut);',
    '',
    [PENDING, 'carries out for the last time what a single failure left [redis]'],
  ),
  breaking(9)(
    'away: the last try at shutdown does not find out whether the store is back',
    'engine/invalidations.ts',
    'await this.parts.health.lastBeat();',
    '',
    [PENDING, 'tries though no beat has told of the return yet [redis]'],
  ),
  breaking(9)(
    'away: what the source said is gone is back with the store',
    'engine/landing.ts',
    "if (end === 'unknown') this.parts.keepRemoval(call);",
    '',
    [LOADS, 'an answer that was thrown while the store was away also outlives its return [redis]'],
  ),
  breaking(9)('away: what is lost at shutdown is not told', 'engine/invalidations.ts', 'this.pending.abandon();', '', [
    PENDING,
    'says what is lost when the store is still away [redis]',
  ]),
  unit(
    'away: the mode that was asked for last counts',
    'engine/pending.ts',
    'this.kept.set(id, known ? stricter(known, invalidation) : invalidation);',
    'this.kept.set(id, invalidation);',
    [KEPT, 'keeps the strictest mode and the longest life of those asked for: purge, remove, expire'],
  ),
  unit(
    'away: the life that was asked for last counts',
    'engine/pending.ts',
    'ttlMs: Math.max(one.ttlMs, other.ttlMs)',
    'ttlMs: other.ttlMs',
    [KEPT, 'keeps the strictest mode and the longest life of those asked for: expire, remove, purge'],
  ),
  unit(
    'away: what was asked for again counts as carried out',
    'engine/pending.ts',
    '// One that was asked for meanwhile is another.\n        if (this.kept.get(id) === invalidation) this.kept.delete(id);',
    'this.kept.delete(id);',
    [KEPT, 'does not take for done what was asked for again while it was carried out'],
  ),
  unit(
    'away: what is refused is tried first again',
    'engine/pending.ts',
    'if (this.kept.get(id) === invalidation && this.kept.delete(id)) this.kept.set(id, invalidation);',
    '',
    [KEPT, 'does not let those that fail keep the others from the store, however many they are'],
  ),
  unit(
    'away: what is pending is kept without bound',
    'engine/pending.ts',
    'if (!known && this.kept.size >= this.max) this.coarsen();',
    '',
    [KEPT, 'beyond its bound, gives up the keys and tags of the domain with the most for all of it; nothing is lost'],
  ),
  unit('away: what gives way to its domain is lost', 'engine/pending.ts', 'this.kept.set(idOf(whole), whole);', '', [
    KEPT,
    'beyond its bound, gives up the keys and tags of the domain with the most for all of it; nothing is lost',
  ]),
  // The return.
  breaking(9)('away: memory is trusted through an outage', 'engine/store-health.ts', 'this.parts.trust.lost();', '', [
    SETTLING,
    'after a short pause of Redis, nothing from before is fresh until it has [redis]',
  ]),
  breaking(9)(
    'away: what was cached before an outage is believed as soon as the store answers',
    'engine/lookup.ts',
    "this.health.doubts(entry.beganMs, reply.nowMs) ? 'settling' : undefined",
    'undefined',
    [SETTLING, 'after a short pause of Redis, nothing from before is fresh until it has [redis]'],
  ),
  breaking(9)(
    'away: what was loaded after the return is doubted as well',
    'engine/store-health.ts',
    'return this.backAt === undefined || beganMs < nowMs - elapsedSince(this.backAt, this.parts.clock);',
    'return true;',
    [SETTLING, 'what was loaded after the return is fresh at once [redis]'],
  ),
  breaking(9)(
    'away: what is doubted for a moment is refreshed',
    'core/decide.ts',
    'refresh: !passing || nowMs >= naturalMs',
    'refresh: true',
    [SETTLING, 'no load storm: what may be stale is served without a refresh [redis]'],
  ),
  breaking(9)(
    'away: what another server process left is refreshed all at once',
    'engine/sources.ts',
    'return this.recovery.tryTake(RECOVERY_PER_PLACE * this.policy.concurrency);',
    'return true;',
    [SETTLING, 'an older snapshot: what may be stale is refreshed little by little, hot keys first [redis]'],
  ),
  unit(
    'away: a beat from before a loss tells of the return',
    'engine/store-health.ts',
    'if (reply && losses === this.losses) this.answered(reply);',
    'if (reply) this.answered(reply);',
    [HEALTH, 'an answer to a beat from before a loss does not tell of the return'],
  ),
  unit(
    'away: a process with pending invalidations says that it has settled',
    'engine/store-health.ts',
    'settled: settled(), outage',
    'settled: true, outage',
    [HEALTH, 'carries out what is pending before it says that it has settled'],
  ),
  unit(
    'away: who was silent with the store counts as dead',
    'engine/store-health.ts',
    "this.state === 'up' && !late ? live : Math.max(live, this.live)",
    'live',
    [HEALTH, 'waits for processes that were alive before the outage though they have not beaten since'],
  ),
  unit(
    'away: a process that knows of no other takes itself for alone',
    'engine/store-health.ts',
    'this.knowsFleet && unsettled === 0',
    'unsettled === 0',
    [HEALTH, 'a process that began while the store was away waits for those that it never heard of'],
  ),
  unit(
    'away: who died with the store is waited for without end',
    'engine/store-health.ts',
    'elapsedSince(this.backAt!, this.parts.clock) >= LIVE_MS',
    'false',
    [HEALTH, 'waits for processes that died with the store only as long as a process counts as alive'],
  ),
  breaking(9)(
    'away: who waits for another process sleeps through an outage',
    'engine/flights.ts',
    'for (const flight of this.underway.keys()) flight.recheck();',
    '',
    [LOADS, 'who waits for the load of another process goes to the source when the store goes away [redis]'],
  ),
  breaking(9)(
    'away: a budget that ends first gives nothing of memory',
    'engine/reading.ts',
    "if (ended?.kind === 'aborted') return this.interrupted(ended);",
    'if (ended) return this.interrupted(ended);',
    [BREAKER, 'a budget that ends before the soft time-out still gives what memory may [redis]'],
  ),
  ...connectionMutations,
];
