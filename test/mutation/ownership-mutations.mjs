import { breaking } from './breaking.mjs';

const PRINCIPALS = '13-principals';
const MADE_FROM = '13-made-from';
const breaks = breaking(13);

/**
 * Of values that are made from somebody's own, and of whom one is taken for.
 *
 * @type {import('./breaking.mjs').Mutation[]}
 */
export const ownershipMutations = [
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
    'return asked === undefined || asked === principal;\n    } catch {\n      return false;',
    'return asked === undefined || asked === principal;\n    } catch {\n      return true;',
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
    'engine/verdicts.ts',
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
];
