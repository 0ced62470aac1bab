import { breaking, breakingUnit } from './breaking.mjs';

const ORDER = '12-event-order';
const TWICE = '12-idempotent-events';

const INTAKE = 'engine/events/intake.ts';
const BURSTS = 'engine/events/bursts.ts';
const WANTED = 'engine/events/wanted.ts';
const WHOLE = 'engine/events/whole-domains.ts';
const STAKES = 'engine/events/stakes.ts';
const WORK = 'adapters/redis/stream/stream-work.ts';
const GROUP_RULES = 'adapters/redis/stream/group-rules.ts';
const ACTIONS = 'engine/events/actions.ts';

const merged = (source, store) => {
  const windowMs = store === 'memory' ? 50 : 5;
  return `leave the cache where in-order delivery would, over ${source}, merged within ${windowMs} ms [${store}]`;
};
const EXACT = 'a source that tells what it has';
const LAGGING = 'a replica that lags';

/** Of what is done for an event that is put aside. */
const forgoing = (name, file, find, replace, title) => ({
  ...breaking(12)(name, file, find, replace, ['', '']),
  test: { file: 'test/promises/dead-letters.test.ts', name: `dead letters: ${title}` },
});
/** Of a guard that a test over a stream keeps. */
const streaming = (name, file, find, replace, [testFile, title]) => ({
  ...breaking(12)(name, file, find, replace, ['', '']),
  test: { file: `test/redis/${testFile}.test.ts`, name: title, project: 'redis' },
});

/**
 * Of promises 11 and 12: the order of domain events, and their repeats.
 *
 * @type {import('./breaking.mjs').Mutation[]}
 */
export const eventMutations = [
  breaking(12)('no event is a repeat', INTAKE, '(known[i] ? DUPLICATE : this.apply(one))', 'this.apply(one)', [
    TWICE,
    'twice is one action; another id with the same content is a second one [memory]',
  ]),
  breaking(12)(
    'an id is the same whoever gave it',
    'core/domain-event.ts',
    '`${source.length}:${source}${id}`',
    '`${id}`',
    [TWICE, 'twice is one action; another id with the same content is a second one [redis]'],
  ),
  breaking(12)(
    'the same type and data count as the same event',
    INTAKE,
    'const identity = identityOf(event) + fingerprint;',
    'const identity = JSON.stringify([event.type, event.data]);',
    [TWICE, 'twice is one action; another id with the same content is a second one [memory]'],
  ),
  breaking(12)(
    'what other rules did makes a repeat',
    INTAKE,
    'identityOf(event) + fingerprint;',
    'identityOf(event);',
    [TWICE, 'does not make it a repeat for rules that have not seen it [memory]'],
  ),
  breaking(12)(
    'one rule that throws keeps the others from acting',
    INTAKE,
    'const outcomes = await this.done(wanted);',
    'const outcomes = verdict === APPLIED ? await this.done(wanted) : [];',
    [TWICE, 'is not remembered, and what other rules want is done: a version that is none [memory]'],
  ),
  forgoing(
    'what an event that is put aside may have concerned stays fresh',
    'engine/events/domain-events.ts',
    'return this.wholeDomains.seldom(this.stakes.concerned(source, event));',
    'return this.wholeDomains.seldom([]);',
    'ends what its rules may have meant, and nothing else [redis]',
  ),
  forgoing(
    'nonsense reaches every domain that follows the source',
    STAKES,
    'return followers.size > 0 ? followers : new Set(this.reliantOn(source));',
    'return followers.size > 0 ? followers : this.all(source);',
    'no event: it ends what rests on the source, and nothing else [memory]',
  ),
  forgoing(
    'an event is given up before the store has confirmed the invalidation',
    WHOLE,
    "if ((await this.invalidate(domain)) === 'applied') return;",
    'if (await this.invalidate(domain)) return;',
    'is not given up as long as the store has not confirmed it [memory]',
  ),
  forgoing(
    'each event that is put aside invalidates its domain anew',
    WHOLE,
    'this.pause(again ? spanMs - (now % spanMs) : 0)',
    'this.pause(0)',
    'cost a domain one invalidation in each span of its fallback TTL [memory]',
  ),
  forgoing(
    'processes invalidate one after the other',
    WHOLE,
    'this.pause(again ? spanMs - (now % spanMs) : 0)',
    'this.pause(again ? spanMs : 0)',
    'are invalidated for by all processes at the same time, not one after the other [memory]',
  ),
  forgoing(
    'an event joins an invalidation that has begun',
    WHOLE,
    'this.waiting.delete(domain);',
    '',
    'are done with when what was cached before each of them is invalidated [memory]',
  ),
  forgoing(
    'who closes waits for the span',
    WHOLE,
    'for (const end of this.pauses) end();',
    '',
    'keep nobody waiting who closes, and leave no timer [memory]',
  ),
  forgoing(
    'other domains that rest on a source make no other rules',
    STAKES,
    'this.reliantOn(source).toSorted()]',
    '[]]',
    'processes know whether they do the same with the events of a source [memory]',
  ),
  streaming(
    'an event is put aside though what it concerned is not invalidated',
    WORK,
    'if (!isGivenUp) await',
    'if (false) await',
    [
      'stream-dead-letters',
      'are not written while that is not confirmed: the event comes again, as if it had not been tried',
    ],
  ),
  streaming(
    'an event that is put aside holds up its batch',
    WORK,
    'for (const one of bad) this.putAside(one);',
    'await Promise.all(bad.map((one) => this.bury(one)));',
    [
      'stream-dead-letters',
      'are written when what they may have concerned is invalidated, and hold up nothing until then',
    ],
  ),
  streaming(
    'processes with other rules rest on the source',
    GROUP_RULES,
    'if (!this.differ) sink.lag(ms);',
    'sink.lag(ms);',
    ['stream-rules', 'are told of on both sides, and nobody rests on the source'],
  ),
  streaming(
    'what processes with other rules took is forgotten',
    GROUP_RULES,
    "if (this.differ) await sink.lost('processes with other rules have read from the group');",
    '',
    [
      'stream-rules',
      'that leave have read what was not theirs: what follows the source is invalidated once, and may rest on it again',
    ],
  ),
  breakingUnit(12)(
    'what a rule gives wrongly is tried again',
    INTAKE,
    "isBadOutput(error) ? 'poison' : 'retry'",
    "'retry'",
    ['engine/events/intake', 'says at once of what a rule gave that no repeat will help: a version that is a text'],
  ),
  breakingUnit(12)(
    'what a rule throws is not tried again',
    INTAKE,
    "isBadOutput(error) ? 'poison' : 'retry'",
    "'poison'",
    ['engine/events/intake', 'does not remember what was not applied: rules that throw, actions that fail'],
  ),
  breaking(12)('nothing is remembered', INTAKE, 'if (applied.length > 0) await', 'if (false) await', [
    TWICE,
    'is known to every process, and to one that is started later [redis]',
  ]),
  breaking(12)('two of one delivery are two', INTAKE, 'if (first) {', 'if (false) {', [
    TWICE,
    'in one delivery is one action [memory]',
  ]),
  breaking(12)('what failed is remembered', INTAKE, 'verdicts[i] === APPLIED', 'true', [
    TWICE,
    'is not remembered: a rule that throws, in whatever it is asked [memory]',
  ]),
  breaking(12)(
    'an event is remembered before its action',
    INTAKE,
    'const verdicts = await Promise.all(',
    `await this.rooms.ledger.remember(arrived.map(({ identity }) => identity));
    const verdicts = await Promise.all(`,
    [TWICE, 'is remembered only when the action is done: who dies in between has it done again [memory]'],
  ),
  breaking(12)(
    'while the ledger is away nothing is done',
    INTAKE,
    '.catch(() => []);',
    '.catch(() => arrived.map(() => true));',
    [TWICE, 'is harmless: a ledger that does not answer, before the action or after it [memory]'],
  ),
  breaking(12)(
    'what is no event is nothing',
    INTAKE,
    "{ kind: 'poison', reason: event.malformed }",
    "{ kind: 'done', outcome: 'unmatched' }",
    [TWICE, 'what is no event is poison, and holds up nothing [memory]'],
  ),
  breakingUnit(12)('a burst is not merged', BURSTS, 'if (slot && slot.openUntilMs > now) {', 'if (false) {', [
    'engine/events/bursts',
    'begins at once, and what follows within the window is one',
  ]),
  breaking(12)('a burst outlives its guard', BURSTS, 'this.closed = true;', '', [
    TWICE,
    'after the end nothing is taken in, and nothing is left that waits [memory]',
  ]),
  breakingUnit(12)(
    'a burst takes in more after it has begun',
    BURSTS,
    'this.openSlot(target, now);\n      this.ready.push(waiting);',
    'this.slots.set(target, { openUntilMs: now + this.windowMs, waiting });\n      this.ready.push(waiting);',
    ['engine/events/bursts', 'lets nothing join what has begun, however long it takes'],
  ),

  breaking(11)(
    'an older event invalidates what is newer (memory)',
    'adapters/memory/memory-store.ts',
    'if (version && kept && isAsNew(kept.bytes, version)) return;',
    '',
    [ORDER, 'leaves what is as new alone, in whichever process [memory]'],
  ),
  breaking(11)(
    'an older event invalidates what is newer (Redis)',
    'adapters/redis/scripts/invalidate.lua',
    '  if holds_value(head) and flag(head, 16) and not bytes_less(string.sub(head, 35, 42), version) then return false end\n',
    '',
    [ORDER, 'leaves what is as new alone, in whichever process [redis]'],
  ),
  breaking(11)(
    'a replica brings back what an event has ended (memory)',
    'adapters/memory/memory-store.ts',
    'if (version) lease.raiseFloor(version, nowMs + known.windowMs, nowMs);',
    '',
    [ORDER, merged(LAGGING, 'memory')],
  ),
  breaking(11)(
    'a replica brings back what an event has ended (Redis)',
    'adapters/redis/scripts/invalidate.lua',
    'raise_floor(floor_key, version, tonumber(window))',
    '',
    [ORDER, merged(LAGGING, 'redis')],
  ),
  breaking(11)(
    'an older event lowers what is refused (memory)',
    'adapters/memory/lease.ts',
    'const highest = floor && floor.compare(version) > 0 ? floor : version;',
    'const highest = version;',
    [ORDER, 'does not make welcome what a newer one has ended [memory]'],
  ),
  breaking(11)(
    'an older event lowers what is refused (Redis)',
    'adapters/redis/scripts/prelude.lua',
    'if floor and bytes_less(version, floor) then version = floor end',
    '',
    [ORDER, 'does not make welcome what a newer one has ended [redis]'],
  ),
  breaking(11)('an event does not say of which version it tells', ACTIONS, '[key], mode, version)', '[key], mode)', [
    ORDER,
    merged(LAGGING, 'memory'),
  ]),
  breaking(11)('a value is put without its version', ACTIONS, 'directives.setVersion(version);', '', [
    ORDER,
    merged(EXACT, 'memory'),
  ]),
  breakingUnit(11)('of two values the last counts', WANTED, '>= (earlier.update?.version ?? -1n)', '>= -1n', [
    'engine/events/wanted.properties',
    'keeps the newest value, and knows what it was newer than where it must go',
  ]),
  breakingUnit(11)(
    'of two invalidations the last counts',
    WANTED,
    'version: newer(one.version, other.version),',
    'version: other.version,',
    [
      'engine/events/wanted.properties',
      'leaves, merged, what one after the other would leave, or nothing that is fresh',
    ],
  ),
  breaking(11)(
    'a value that others overtake is given up',
    ACTIONS,
    "put.reason !== 'overlapped' || tries === MOST_PUTS",
    'true',
    [ORDER, 'leaves the newest value, though 1 is put while 2 is on its way [memory]'],
  ),
  breaking(11)(
    'a value that was overtaken takes the newer one with it',
    'engine/writes.ts',
    "const outcome = again ? 'applied' : await this.invalidate(call, version);",
    'const outcome = await this.invalidate(call);',
    [ORDER, 'leaves the newest value, though 2 is put while 1 is on its way [memory]'],
  ),
  breaking(11)(
    'a put that was overtaken takes the newer one with it',
    'engine/writes.ts',
    "const outcome = again ? 'applied' : await this.invalidate(call, version);",
    "const outcome = again ? 'applied' : await this.invalidate(call);",
    [ORDER, 'and so does a put by hand that a newer one has overtaken [memory]'],
  ),
  breakingUnit(11)(
    'a value that gives way to an invalidation is forgotten',
    WANTED,
    'version: newer(invalidate.version, newest.version)',
    'version: invalidate.version',
    [
      'engine/events/wanted.properties',
      'leaves, merged, what one after the other would leave, or nothing that is fresh',
    ],
  ),
  breakingUnit(11)(
    'a value outlives an invalidation that may be newer',
    WANTED,
    'update: dropped ? undefined : newest,',
    'update: newest,',
    [
      'engine/events/wanted.properties',
      'leaves, merged, what one after the other would leave, or nothing that is fresh',
    ],
  ),
  breakingUnit(11)(
    'an update goes without a version',
    'core/rules.ts',
    "known === undefined && action !== 'update'",
    'known === undefined',
    ['core/rules', 'may leave an invalidation without a version, never an update'],
  ),
];
