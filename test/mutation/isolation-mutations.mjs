import { breaking, breakingOn, breakingUnit } from './breaking.mjs';

const PRIVATE = '13-private';
const HIDDEN = '13-hidden-keys';
const CHANGED = '13-changed-keys';
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
  breakingUnit(13)(
    'isolation: a key is made from any number of values',
    'core/canonical.ts',
    'if (++walk.values > MAX_VALUES) refuse(`a structure of more than ${MAX_VALUES} values`);',
    '',
    ['core/unusable-keys', 'so many values are fine, and not one more'],
  ),
  breakingUnit(13)(
    'isolation: a hidden text looks the same in every role',
    'core/key-hiding.ts',
    '`${role}:${domain}:${segment}`',
    '`${domain}:${segment}`',
    ['core/key-hiding', 'equal texts in different roles look different'],
  ),
  breakingUnit(13)(
    'isolation: a hidden text looks the same in every domain',
    'core/key-hiding.ts',
    '`${role}:${domain}:${segment}`',
    '`${role}:${segment}`',
    ['core/key-hiding', 'equal texts in different domains look different'],
  ),
  breaks(
    'isolation: a partition that throws fails the call',
    'core/partition.ts',
    'return { given: undefined, error: errorKind(thrown) };',
    'throw thrown;',
    ['13-isolation', 'a partition that throws gives nothing; what it threw does not show [memory]'],
  ),
  breaks(
    'isolation: an error shows a partition',
    'engine/key-maker.ts',
    'gave ${kindOf(partition)}',
    'gave ${JSON.stringify(partition)}',
    [HIDDEN, 'show nothing in Redis, in events, in errors [redis]'],
  ),
  breaks(
    'isolation: people wait for the warming of others',
    'engine/warming/warmings.ts',
    "return `warming.${name}.${digest(keys.key(policy, { domain, key: name }, owner), 'warming')}`;",
    'return `warming.${name}`;',
    ['13-private-warming', 'warming is each one’s own, at the same time (accounts) [memory]'],
  ),
  breaks('isolation: an error shows a tag', 'core/keys.ts', 'is ${kindOf(tag)}', 'is ${describeValue(tag)}', [
    HIDDEN,
    'show nothing in Redis, in events, in errors [redis]',
  ]),
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
    'isolation: a principal that is not known means the public value',
    'engine/call-maker.ts',
    "Object.hasOwn(target, 'principal') ?",
    'target.principal !== undefined ?',
    [PRIVATE, 'makes a read of nobody, also where the value would be public or the caller’s [memory]'],
  ),
  breaks(
    'isolation: a principal that is not known is the caller',
    'engine/key-maker.ts',
    "if (!Object.hasOwn(target, 'principal')) asked",
    'asked',
    [PRIVATE, 'makes a read of nobody, also where the value would be public or the caller’s [memory]'],
  ),
  breaks(
    'isolation: a private value is kept in a public one',
    'core/composition.ts',
    "if (inner.scope === 'private' && !(outer.scope === 'private' && sameOwner)) return 'inner-private';",
    '',
    [PRIVATE, 'a private value makes the public one uncacheable that is made from it [memory]'],
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
  shows(
    'isolation: two objects of one class share',
    'nest/policy-check.ts',
    '    ...objectClashes(methods, objectsOf),\n',
    '',
    ['several-objects', 'are refused when they are made by two modules'],
  ),
  breaks(
    'isolation: a load with changed arguments is kept under the key of the call',
    'engine/call-maker.ts',
    'if (!this.keys.isStill(policy, key, again)) (context as Partial<LoadDirectives>).strayed = true;',
    '',
    [CHANGED, 'is its caller’s alone, and stands in nobody’s way [memory]'],
  ),
  breaks(
    'isolation: who waits is given the value of another key',
    'engine/landing.ts',
    'starter ? own : AGAIN',
    'own',
    [CHANGED, 'is not given to who waits for the same key: unkept [memory]'],
  ),
  shows(
    'isolation: an explicit key is not made again',
    'nest/planned-read.ts',
    '[KEY_AGAIN]: changeable ? again : undefined,',
    '',
    ['changed-arguments', 'stores nothing under the key of the call: explicit'],
  ),
  shows(
    'isolation: what is written with changed arguments is kept under the key of the call',
    'nest/refreshes.decorator.ts',
    'if (moved) loadContext().doNotCache();',
    '',
    ['changed-arguments', 'is written under no key, and the values of both are loaded anew'],
  ),
  shows(
    'isolation: the key of a route is made again as that of a method',
    'nest/http/route-read.ts',
    'planRead(call, this.definition, key, again)',
    'planRead(call, this.definition, key)',
    ['changed-arguments', 'a request that is changed after its answer replaces nothing in the background [Express]'],
  ),
];
