import { breaking } from './breaking.mjs';

const REACH = '10-l1-reach';
const COHERENCE = '10-l1-coherence';
const TRUST = '10-l1-trust';
const FAULTS = '10-l1-faults';
const VALUES = '10-l1-values';

const NEAR = 'engine/near-cache.ts';
const CORE = 'core/trust.ts';

/**
 * Of promise 10: what is kept in a process's memory, and when it is fresh.
 *
 * @type {import('./breaking.mjs').Mutation[]}
 */
export const l1Mutations = [
  breaking(10)(
    'memory answers readers whose policy has none',
    NEAR,
    'if (!policy.l1 || !this.store.remote) return undefined;\n    const kept',
    'const kept',
    [REACH, 'a call that narrows its domain to never asks the store, and leaves nothing here [memory]'],
  ),
  breaking(10)(
    'memory where nothing stale may be served',
    'core/resolve-policy.ts',
    'if (!staleAllowed) {',
    'if (false) {',
    [REACH, 'there is none where nothing stale may be served, nor where it is switched off [memory]'],
  ),
  breaking(10)(
    'a call that narrows its domain is told off',
    'core/resolve-policy.ts',
    'const l1 = staleAllowed || overrides.stalePolicy === undefined ? check.l1(merged, staleAllowed) : undefined;',
    'const l1 = check.l1(merged, staleAllowed);',
    [REACH, 'such a call is not told off for what its domain says of memory [memory]'],
  ),
  breaking(10)(
    'an operational domain keeps as long as any other',
    'core/resolve-policy.ts',
    "const maxAgeMs = freshness === 'operational' ? 1_000 : Infinity;",
    'const maxAgeMs = Infinity;',
    [REACH, 'an operational domain asks the store after a second, unless it says otherwise [memory]'],
  ),
  breaking(10)(
    'a bound of no entries',
    'core/resolve-policy.ts',
    'given?.maxEntries, 1_000, 1, MOST_L1_ENTRIES)',
    'given?.maxEntries, 1_000, -1, MOST_L1_ENTRIES)',
    [REACH, 'a tier in memory where it must not be, and bounds that are none [memory]'],
  ),
  breaking(10)(
    'more entries than can be indexed',
    'core/resolve-policy.ts',
    'const MOST_L1_ENTRIES = 1_000_000;',
    'const MOST_L1_ENTRIES = Number.MAX_SAFE_INTEGER;',
    [REACH, 'more entries than a process can index are refused, not found out at the first hit [memory]'],
  ),
  breaking(10)('maxAge does not count', NEAR, 'if (ageMs >= policy.l1.maxAgeMs) return undefined;', '', [
    REACH,
    'after maxAge the store is asked, and what it says is kept anew [memory]',
  ]),
  breaking(10)(
    'what is kept gets the whole TTL again',
    NEAR,
    'const nowMs = kept.seen.nowMs + ageMs;',
    'const nowMs = kept.seen.nowMs;',
    [REACH, 'what is kept has what is left of its time, not the whole of it [memory]'],
  ),
  breaking(10)(
    'memory serves as fresh what is past its soft TTL',
    NEAR,
    "decision.kind === 'serve' && !decision.stale",
    "decision.kind === 'serve'",
    [REACH, 'what is kept has what is left of its time, not the whole of it [memory]'],
  ),
  breaking(10)('memory is not bounded in entries', NEAR, 'max: l1!.maxEntries,', 'max: 1_000,', [
    REACH,
    'the least recently used goes beyond maxEntries [memory]',
  ]),
  breaking(10)(
    'memory is not bounded in bytes',
    NEAR,
    'sizeCalculation: ({ bytes }) => bytes,',
    'sizeCalculation: () => 1,',
    [REACH, 'maxBytes holds: what is too large alone is not taken in, the sum is bounded [memory]'],
  ),
  breaking(10)(
    'a compressed value counts as small as it is in the store',
    NEAR,
    'Math.max(weight, entry.payload.length)',
    'entry.payload.length',
    [REACH, 'maxBytes is of values as they lie in memory, not of compressed ones [memory]'],
  ),
  breaking(10)('memory is fresh without a word from the fleet', NEAR, ' || !this.trust.alive', '', [
    TRUST,
    'where nothing arrives any more, nothing is fresh after a second [memory]',
  ]),
  breaking(10)('memory of an earlier era is fresh', NEAR, 'kept.era !== this.trust.era || ', '', [
    TRUST,
    'one beat that was sent and not heard: what else was said meanwhile may be missing [memory]',
  ]),
  breaking(10)(
    'what was read before signals were proven to arrive is fresh',
    NEAR,
    'this.trust.proven ? this.trust.era : UNTRUSTED',
    'this.trust.era',
    [TRUST, 'what was read between a loss of signals and the next proof is not fresh [memory]'],
  ),
  breaking(10)(
    'a reply counts for the era in which it came',
    NEAR,
    'const era = local ? UNTRUSTED : ticket.era;',
    'const era = local ? UNTRUSTED : this.trust.era;',
    [COHERENCE, 'a loss of signals while a reply is under way: it is not kept [memory]'],
  ),
  breaking(10)(
    'what no store has confirmed is fresh',
    NEAR,
    'const era = local ? UNTRUSTED : ticket.era;',
    'const { era } = ticket;',
    [COHERENCE, 'is not fresh either when only some commands failed, and signals arrive [memory]'],
  ),
  breaking(10)(
    'a reply that a message overtook is kept',
    NEAR,
    'for (const ticket of this.tickets.get(key) ?? []) if (ticket !== own) ticket.spoiled = true;',
    '',
    [COHERENCE, 'a reply that was under way during an invalidation of the key is not kept [memory]'],
  ),
  breaking(10)('a reply that a tag overtook is kept', NEAR, '(ticket.moved ??= []).push(generation);', '{}', [
    COHERENCE,
    'a reply that was under way during one of a tag is not kept [memory]',
  ]),
  breaking(10)(
    'a dropped key stays',
    NEAR,
    'this.tiers.get(domainOf(key))?.delete(key);\n    for (const ticket of this.tickets.get',
    'for (const ticket of this.tickets.get',
    [COHERENCE, 'an invalidation of the key is known at once to the process that asked for it [memory]'],
  ),
  breaking(10)(
    'what carries a tag stays',
    NEAR,
    'for (const { key } of this.carriers.get(generation) ?? []) this.tiers.get(domainOf(key))?.delete(key);',
    '',
    [COHERENCE, 'one of a tag is known at once to the process that asked for it [memory]'],
  ),
  breaking(10)('an older reply replaces a newer one', NEAR, ' || known.entry.beganMs > entry.beganMs', '', [
    COHERENCE,
    'an older reply that comes later does not replace a newer one [memory]',
  ]),
  breaking(10)(
    'what stands in for the store passes for fresh',
    NEAR,
    'found: { ...kept.seen.found, doubt }',
    'found: { ...kept.seen.found, doubt: undefined }',
    [TRUST, 'without it, old values are served as stale and not refreshed before they must be [memory]'],
  ),
  breaking(10)('what was pushed out is still held by its tags', NEAR, 'carriers?.delete(kept);', '', [
    VALUES,
    'nothing of what was dropped, pushed out or closed [memory]',
  ]),
  breaking(10)('memory outlives the guard', 'engine/cache-guard.ts', 'this.parts.near.clear();', '', [
    VALUES,
    'nothing of what was dropped, pushed out or closed [memory]',
  ]),
  breaking(10)(
    "memory holds on to its first reader's call",
    'engine/lookup.ts',
    'bytes: reply.bytes?.length ?? 0,\n      unpack: this.opener(parsed, call.policy),',
    'bytes: reply.bytes?.length ?? 0,\n      unpack: (values) => this.unpack(parsed, values, call.policy),',
    [VALUES, "not the first reader's call, with all that its loader holds [memory]"],
  ),
  breaking(10)(
    "memory holds on to its loader's call",
    'engine/lookup.ts',
    'bytes: entry.payload.length,\n      unpack: this.opener(parsed, call.policy),',
    'bytes: entry.payload.length,\n      unpack: (values) => this.unpack(parsed, values, call.policy),',
    [VALUES, "not the first reader's call, with all that its loader holds [memory]"],
  ),
  breaking(10)('trust outlives a second', CORE, 'export const TRUST_MS = 900;', 'export const TRUST_MS = 9_000;', [
    TRUST,
    'where nothing arrives any more, nothing is fresh after a second [memory]',
  ]),
  breaking(10)(
    'a beat vouches from when it came back',
    CORE,
    'this.provenAt = at;',
    'this.provenAt = instant(this.clock);',
    [TRUST, 'a beat vouches for what was said before it was sent, however late it comes [memory]'],
  ),
  breaking(10)('a missing beat is nothing', CORE, 'if (earlier < beat) this.era++;', '', [
    TRUST,
    'one beat that was sent and not heard: what else was said meanwhile may be missing [memory]',
  ]),
  breaking(10)('a loss ends no era', CORE, 'this.era++;\n    this.sent.clear();', 'this.sent.clear();', [
    TRUST,
    'nor is what memory had before the loss [memory]',
  ]),
  breaking(10)('a beat from before a loss proves something', CORE, 'this.sent.clear();', '', [
    TRUST,
    'a loss is for good: a beat that was sent before it proves nothing [memory]',
  ]),
  breaking(10)(
    'after a loss, what is read counts as proven',
    CORE,
    'this.sent.clear();\n    this.provenAt = undefined;',
    'this.sent.clear();',
    [TRUST, 'what was read between a loss of signals and the next proof is not fresh [memory]'],
  ),
  breaking(10)('a gap in the signals goes unnoticed', 'engine/signals.ts', 'trust.lost();', '', [
    TRUST,
    'after a loss it is not fresh before the next read, though nothing else happened [memory]',
  ]),
  breaking(10)('an invalidation elsewhere does not reach memory', 'engine/signals.ts', 'near.drop(signal.key);', '', [
    COHERENCE,
    'an invalidation of the key reaches every memory within a second [memory]',
  ]),
  breaking(10)(
    'a tag elsewhere does not reach memory',
    'engine/signals.ts',
    'near.dropCarriers(signal.generation);',
    '',
    [COHERENCE, 'one of a tag reaches every memory within a second [memory]'],
  ),
  breaking(10)('an outage leaves memory trusted', 'engine/store-health.ts', 'this.parts.trust.lost();', '', [
    TRUST,
    'after the store was away, memory is not fresher than the store [memory]',
  ]),
  breaking(10)(
    'who invalidates a key waits for the message',
    'engine/invalidations.ts',
    "if (invalidation.scope === 'key') this.parts.near.drop(invalidation.key);",
    "if (invalidation.scope === 'key') return;",
    [COHERENCE, 'an invalidation of the key is known at once to the process that asked for it [memory]'],
  ),
  breaking(10)(
    'who invalidates a tag waits for the message',
    'engine/invalidations.ts',
    'else this.parts.near.dropCarriers(invalidation.generation);',
    '',
    [COHERENCE, 'one of a tag is known at once to the process that asked for it [memory]'],
  ),
  breaking(10)(
    'what was read while an invalidation was on its way stays',
    'engine/invalidations.ts',
    '// A read that was under way may have brought back what it replaces.\n        this.forget(invalidation);',
    '',
    [COHERENCE, 'what was read while the invalidation was on its way is not kept either [memory]'],
  ),
  breaking(10)('who puts keeps the old value in memory', 'engine/writes.ts', 'near.drop(key);', '', [
    COHERENCE,
    'a put is known at once to the process that asked for it [memory]',
  ]),
  breaking(10)(
    'a slow store keeps readers who may have the old value',
    'engine/reading.ts',
    'const standsIn = this.parts.near.has(this.call);',
    'const standsIn = false;',
    [TRUST, 'a store that is slow keeps nobody longer than the soft time-out who may have the old [memory]'],
  ),
  breaking(10)(
    'memory does not stand in for the store',
    'engine/reading.ts',
    ': this.parts.near.doubted(this.call);',
    ': undefined;',
    [TRUST, 'without it, old values are served as stale and not refreshed before they must be [memory]'],
  ),
  breaking(10)(
    'a beat counts as heard when its command is answered',
    'adapters/redis/heartbeat.ts',
    'if (awaited.from.size > 0 || !awaited.sent) return;',
    'if (!awaited.sent) return;',
    [FAULTS, 'is half open: nothing is fresh after a second, and it is replaced [redis]'],
  ),
  breaking(10)(
    'a subscription that is half open stays so',
    'adapters/redis/heartbeat.ts',
    'this.topology.subscriber.reconnect();',
    '',
    [FAULTS, 'is half open: nothing is fresh after a second, and it is replaced [redis]'],
  ),
  breaking(10)(
    'the end of a subscription goes unnoticed',
    'adapters/redis/subscriber.ts',
    "this.listener.on('close', onGap);",
    '',
    [FAULTS, 'is cut: nothing is fresh before the next read; trust comes back by itself [redis]'],
  ),
  breaking(10)(
    'every fill is a broadcast',
    'adapters/redis/scripts/commit.lua',
    'elseif holds_value(old) and not flag(old, 32)',
    'elseif true or holds_value(old) and not flag(old, 32)',
    [COHERENCE, 'a plain fill is no broadcast, a change is one [redis]'],
  ),
  breaking(10)(
    'a fresh value is replaced without a word',
    'adapters/redis/scripts/commit.lua',
    "redis.call('PUBLISH', ARGV[8], 'r|' .. key)",
    '',
    [COHERENCE, 'a value that other processes still have as fresh is replaced there as well [redis]'],
  ),
];
