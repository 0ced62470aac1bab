import { breaking, breakingOn, breakingUnit } from './breaking.mjs';

const PRIVATE = '13-private';
const PRINCIPALS = '13-principals';
const MADE_FROM = '13-made-from';
const HIDDEN = '13-hidden-keys';
const METHODS = 'private-methods';
const BACKGROUND = 'private-background';
const breaks = breaking(13);
const shows = breakingOn('e2e', 13);

/**
 * Of whose values are, and of what keys say about people.
 *
 * @type {import('./breaking.mjs').Mutation[]}
 */
export const isolationMutations = [
  breaks(
    'isolation: the principal is no part of the key',
    'core/keys.ts',
    "`${shared}:${hide(segment(principal), 'principal')}:${hide(last, 'key')}`",
    "`${shared}:${hide(last, 'key')}`",
    [PRIVATE, 'is given to its principal only, however people interleave (property) [memory]'],
  ),
  breakingUnit(13)(
    'isolation: principal and partition share a place',
    'core/keys.ts',
    "`${shared}:${hide(segment(principal), 'principal')}:${hide(last, 'key')}`",
    "`${shared}${hide(segment(principal), 'principal')}:${hide(last, 'key')}`",
    ['core/keys.properties', 'is bounded and of a safe alphabet, or refused with a code'],
  ),
  breaks(
    'isolation: nobody is somebody',
    'engine/key-maker.ts',
    "this.hub.emit({ type: 'no-principal', domain, error });\n    return undefined;",
    "this.hub.emit({ type: 'no-principal', domain, error });\n    return 'nobody';",
    [PRIVATE, 'and has no owner that can be told is not cached, counted, and shared with nobody [memory]'],
  ),
  breaks(
    'isolation: whatever is given is a principal',
    'engine/key-maker.ts',
    'if (isPrincipal(principal)) return principal;',
    'if (principal !== undefined) return String(principal);',
    [PRIVATE, 'and whose principal is no text is refused, without telling what it is [memory]'],
  ),
  breaks(
    "isolation: read in somebody else's name",
    'engine/call-maker.ts',
    'if (principal !== undefined && !this.keys.mayBe(principal)) refuseOther(target.domain);',
    '',
    [PRIVATE, 'is read and written in nobody else’s name [memory]'],
  ),
  breaks(
    'isolation: who is no text may be anybody',
    'engine/key-maker.ts',
    'return asked === undefined || asked === principal;',
    'return !isPrincipal(asked) || asked === principal;',
    [PRINCIPALS, 'in the name of another is refused to whom is not nobody, but cannot be told [memory]'],
  ),
  breaks(
    'isolation: where the function throws, one may be anybody',
    'engine/key-maker.ts',
    '} catch {\n      return false;',
    '} catch {\n      return true;',
    [PRINCIPALS, 'in the name of another is refused to whom is not nobody, but cannot be told [memory]'],
  ),
  breaks(
    'isolation: a missing name is a name',
    'core/principals.ts',
    "given.trim() !== '' && !MISSING.has(given)",
    "given.trim() !== ''",
    [PRINCIPALS, 'and whose principal is the text of a missing name is refused [memory]'],
  ),
  breaks('isolation: white space is a name', 'core/principals.ts', "given.trim() !== ''", "given !== ''", [
    PRINCIPALS,
    'and whose principal is the text of a missing name is refused [memory]',
  ]),
  breaks(
    'isolation: the breaker tells the last error',
    'engine/sources.ts',
    'this.lastFailure = { error, personal: isPersonal(frame) };',
    'this.lastFailure = { error, personal: false };',
    [PRINCIPALS, 'an open breaker tells nobody what another’s load has thrown [memory]'],
  ),
  breaks(
    'isolation: a private value is kept in a public one',
    'core/composition.ts',
    "if (inner.scope === 'private' && !(outer.scope === 'private' && sameOwner)) return 'inner-private';",
    '',
    [PRIVATE, 'a private value makes the public one uncacheable that is made from it [memory]'],
  ),
  breaks(
    'isolation: who has only asked knows nothing',
    'engine/load-frames.ts',
    'if (why) this.inheritance.refuse(asked.policy.domain, why);',
    '',
    [MADE_FROM, 'is nobody else’s, by a caught failure [memory]'],
  ),
  breaks('isolation: nor do the loads around him', 'engine/load-frames.ts', 'this.parent?.ask(owner, asked);', '', [
    MADE_FROM,
    'is nobody else’s, by a failure within a public value between [memory]',
  ]),
  breaks(
    'isolation: an absence tells nothing',
    'engine/entry-maker.ts',
    'isAbsent({ error })) return undefined;\n    if (inheritance.uncacheable) return inherited(inheritance.uncacheable);',
    'isAbsent({ error })) return undefined;',
    [MADE_FROM, 'is nobody else’s, by an absence made of the value [memory]'],
  ),
  breaks(
    'isolation: what was kept before is extended',
    'engine/entry-maker.ts',
    'if (inheritance.uncacheable) return inherited(inheritance.uncacheable);\n    const { payload',
    'const { payload',
    [MADE_FROM, 'is not kept by extending what was kept before [memory]'],
  ),
  breaks(
    'isolation: an error tells nothing to who waits',
    'engine/landing.ts',
    "return personal ? startersOwn({ kind: 'failed', error }) : () => ({ kind: 'failed', error });",
    "return personal ? () => ({ kind: 'failed', error }) : () => ({ kind: 'failed', error });",
    [MADE_FROM, 'is told to nobody who waits for the same load: neither value, answer, nor failure [memory]'],
  ),
  breaks(
    'isolation: an answer tells nothing to who waits',
    'engine/landing.ts',
    "if (call.policy.keep === 'nothing' ? inheritance.personal : inheritance.uncacheable) return startersOwn(told);",
    '',
    [MADE_FROM, 'is told to nobody who waits for the same load: neither value, answer, nor failure [memory]'],
  ),
  breaks(
    'isolation: what is never kept is everybody’s',
    'engine/landing.ts',
    'await (kept || inheritance.personal',
    'await (kept',
    [MADE_FROM, 'is told to nobody who waits for the same load: neither value, answer, nor failure [memory]'],
  ),
  breaking(14)(
    'isolation: a value goes to all who wait when the policy throws',
    'engine/landing.ts',
    "const value = result.kind === 'value' ? result.value : undefined;\n    return startersOwn({ kind: 'value', handout: () => value, entry: undefined });",
    "const value = result.kind === 'value' ? result.value : undefined;\n    return () => ({ kind: 'value', handout: () => value, entry: undefined });",
    [MADE_FROM, 'goes to one caller: a value at which a function of the policy threw [memory]'],
  ),
  breaks(
    'isolation: another reason hides whose it is',
    'core/composition.ts',
    "if (!this.uncacheable || (reason === 'inner-private' && !this.personal))",
    'if (!this.uncacheable)',
    [MADE_FROM, 'is told to nobody who waits for the same load: neither value, answer, nor failure [memory]'],
  ),
  breaks('isolation: a put tells nothing', 'engine/load-frames.ts', 'if (why) heir.refuse(policy.domain, why);', '', [
    MADE_FROM,
    'is not put under a key of others [memory]',
  ]),
  breaks(
    'isolation: a put inherits nothing',
    'engine/load-frames.ts',
    'heir.add(this.known(owner, this.inheritance.whole(policy.domain)));',
    '',
    [MADE_FROM, 'is not put under a key of others [memory]'],
  ),
  {
    ...breaks(
      'composition: a value that was loaded alone vouches for itself',
      'engine/lone-loads.ts',
      "noteServed(owner, { call, entry: undefined, state: 'uncached', nowMs: 0, staleMs: 0 });",
      '',
      [MADE_FROM, ''],
    ),
    test: {
      file: `test/promises/${MADE_FROM}.test.ts`,
      name: 'promise 14: is not kept in another value: one that is loaded alone [memory]',
    },
  },
  ...[
    [
      'an absence',
      'entry-maker',
      'codec: packed.codec, flags, inheritance }),\n    );',
      'codec: packed.codec, flags }),\n    );',
      'an absence over a value',
    ],
    [
      'a refreshed value',
      'refreshing',
      "entry,\n        state: entry ? 'loaded'",
      "entry: undefined,\n        state: entry ? 'loaded'",
      'an absence over a refreshed one',
    ],
    [
      'a new absence',
      'reading',
      'noteInner(this.parts.owner, call, outcome.entry)',
      '{}',
      'a value over a new absence',
    ],
    [
      'a refreshed absence',
      'refreshing',
      'noteInner(parts.owner, call, outcome.entry)',
      '{}',
      'a value over a refreshed absence',
    ],
    [
      'a peek',
      'peeking',
      'noteInner(owner, call, found.entry, decision.stale ? nowMs - decision.staleMs : undefined);',
      '',
      'a value over a peek',
    ],
    ['explain', 'explain', 'noteInner(owner, call, seen.found.entry);', '', 'a value over an explained one'],
    [
      'a write',
      'load-frames',
      'if (!this.ownsSlot) this.parent?.inherit(owner, inner);',
      '',
      'a value over a write that reads',
    ],
  ].map(([what, file, find, replace, title]) =>
    breaking(3)(`composition: nothing is inherited from ${what}`, `engine/${file}.ts`, find, replace, [
      MADE_FROM,
      `bounds it: ${title} goes with the tag [memory]`,
    ]),
  ),
  breaks(
    'isolation: a value of one principal is kept in that of another',
    'engine/load-frames.ts',
    'return owner === this.owner && principal === this.call.principal;',
    'return owner === this.owner;',
    [PRIVATE, 'so does one of somebody else, and one whose owner is not known [memory]'],
  ),
  breaks(
    'isolation: one principal takes all keys in flight',
    'engine/principal-shares.ts',
    'if (count >= maxKeysInFlightPerPrincipal) {',
    'if (maxKeysInFlightPerPrincipal === 0) {',
    [PRIVATE, 'one principal cannot take all keys in flight [memory]'],
  ),
  breaks('isolation: what has landed still counts for its principal', 'engine/flights.ts', '      leave();', '', [
    PRIVATE,
    'one principal cannot take all keys in flight [memory]',
  ]),
  breaks(
    'isolation: what is loaded alone counts for nobody',
    'engine/lone-loads.ts',
    'const leave = this.parts.shares.take(call);',
    'const leave = () => {};',
    [PRINCIPALS, 'what a principal loads alone, past the cache, counts as his [memory]'],
  ),
  breaks('isolation: what was loaded alone still counts', 'engine/lone-loads.ts', '      leave();', '', [
    PRINCIPALS,
    'what a principal loads alone, past the cache, counts as his [memory]',
  ]),
  ...[
    ['reading', "if (given.kind === 'alone') await this.flights.landed(flight);"],
    ['refreshing', 'if (open) await flights.landed(open);'],
  ].map(([file, find]) =>
    breaks(
      `isolation: a load that has landed counts for whom it refers to a load alone (${file})`,
      `engine/${file}.ts`,
      find,
      '',
      [PRINCIPALS, 'who waited for a load of his own in vain has the place of that [memory]'],
    ),
  ),
  breaks(
    'isolation: nobody loads without bounds',
    'engine/cache-guard.ts',
    'if (!this.closing) return loadAlone(this.rooms, this.calls.unkeyed(target, load)) as Promise<T>;',
    '',
    [PRINCIPALS, 'what nobody loads is bounded as what others do: places, rate, breaker [memory]'],
  ),
  breaks(
    'isolation: the key itself is not hidden',
    'core/keys.ts',
    "? `${shared}:${hide(last, 'key')}`",
    '? `${shared}:${last}`',
    [HIDDEN, 'show nothing in Redis, in events, in errors [redis]'],
  ),
  breaks(
    'isolation: tags are not hidden',
    'core/keys.ts',
    "return `t:${domain}:${hide(segment(String(tag)), 'tag')}`;",
    'return `t:${domain}:${segment(String(tag))}`;',
    [HIDDEN, 'show nothing in Redis, in events, in errors [redis]'],
  ),
  breaks(
    'isolation: the hash has no secret',
    'core/key-hiding.ts',
    "createHmac('sha256', secret)",
    "createHmac('sha256', secret && 'x')",
    [HIDDEN, 'are one for all who have the secret, and none for others [memory]'],
  ),
  shows(
    'isolation: events miss hidden tags',
    'engine/events/domain-events.ts',
    'const tag = keys.tag.bind(keys);',
    'const tag = (domain: string, name: unknown) => `t:${domain}:s.${String(name)}`;',
    [BACKGROUND, 'events reach by tags what hides its keys'],
  ),
  shows(
    'isolation: the background loads what is private',
    'engine/events/refreshes.ts',
    "if (this.domains.policy(target.domain, target, target.origin).scope === 'private') return 'private';",
    '',
    [BACKGROUND, 'nothing private is loaded, whatever the function says: nobody’s permissions are there'],
  ),
  shows(
    'isolation: arguments are written down',
    'engine/call-records.ts',
    "if (policy.scope === 'private' || isConfidential(policy)) return undefined;",
    '',
    [BACKGROUND, 'arguments of private methods, and of domains that hide keys, are not written down'],
  ),
  shows(
    'isolation: handlers have no context',
    'nest/http/request-scope.ts',
    'return this.ask?.(this.current?.context);',
    'return this.ask?.(undefined);',
    ['isolation', 'of messages and of resolvers has the principal of its own context'],
  ),
  shows(
    'isolation: writers forget whose value it is',
    'nest/policy-check.ts',
    "return inForce === 'public' && domains.isPrivate(domain, name);",
    'return false;',
    [METHODS, 'who writes to private keys without saying so'],
  ),
  shows(
    'isolation: the principal is asked after the write',
    'nest/call-keys.ts',
    'return principal === undefined ? undefined : { scope: inForce, principal };',
    'return principal === undefined ? undefined : { scope: inForce };',
    [METHODS, 'reaches the value of whoever had called it, also if he is nobody afterwards, and after the commit'],
  ),
  shows(
    'isolation: events name private keys',
    'engine/events/domain-events.ts',
    'if (!whose) return;',
    "if (whose !== 'is partitioned') return;",
    [METHODS, 'events that name keys that are private: they come from nobody'],
  ),
  shows(
    'isolation: private without a principal function starts',
    'engine/domains.ts',
    "if (scope === 'private' && means?.principal === false) {",
    'if (false) {',
    [METHODS, 'what is private, where nobody can say whose it is'],
  ),
  {
    ...breaks(
      'isolation: explain shows the value of somebody else',
      'engine/cache-guard.ts',
      'value ? this.calls.callOrRefuse(target) : this.calls.lookOrRefuse(target)',
      'this.calls.lookOrRefuse(target)',
      ['explain', ''],
    ),
    test: {
      file: 'test/promises/explain.test.ts',
      name: 'explain: of somebody else is refused; the rest is told [memory]',
    },
  },
];
