import { breaking, breakingUnit } from './breaking.mjs';

const LARGE = 'large-events';
const INTAKE = 'engine/events/intake.ts';
const RULES = 'core/rules.ts';

/**
 * Of what keeps a process and its store at work for others while an event concerns much.
 *
 * @type {import('./breaking.mjs').Mutation[]}
 */
export const largeEventMutations = [
  breaking(12)('a rule names as many keys as it likes', RULES, 'list.length > MAX_RULE_TARGETS', 'false', [
    LARGE,
    'above the bound invalidates all of their domain, says so, and is done with [redis]',
  ]),
  breaking(12)('too many keys are none', INTAKE, 'return [whole];\n    }', 'return [];\n    }', [
    LARGE,
    'above the bound invalidates all of their domain, says so, and is done with [redis]',
  ]),
  breaking(12)(
    'nobody hears that a rule named too many keys',
    INTAKE,
    'this.tellCoarsened(rule, mode, targets.tooMany);',
    '',
    [LARGE, 'above the bound invalidates all of their domain, says so, and is done with [memory]'],
  ),
  breaking(12)(
    'too many values that come with an event are left out in silence',
    INTAKE,
    "if (rule.action === 'update') throw refused(rule, targets.tooMany);",
    '',
    [LARGE, 'above the bound brings no values: it is poison, and says what to do [memory]'],
  ),
  breakingUnit(12)('all events of a batch are begun at once', INTAKE, 'this.wanted >= MOST_WANTED', 'false', [
    'engine/events/intake',
    'begins no further event while 10,000 keys are wanted, and all of them in the end',
  ]),
  breakingUnit(12)('what an event wants is begun at once', INTAKE, 'if (from > 0) await nextTurn();', '', [
    'engine/events/intake',
    'gives others their turn while it begins what an event wants',
  ]),
  breakingUnit(12)(
    'a burst runs all at once',
    'engine/events/lane.ts',
    'const AT_ONCE = 128;',
    'const AT_ONCE = 1e9;',
    [
      'engine/events/lane',
      'runs 128 at once, and the others in their order as places become free, also after failures',
    ],
  ),
  breakingUnit(12)(
    'all invalidations are under way at once',
    'adapters/redis/invalidate-batch.ts',
    'this.underway < MOST_UNDERWAY',
    'true',
    ['invalidate-batch', 'are 512 keys at most, 128 in a command'],
  ),
  breaking(3)(
    'an invalidation of many keys gives nobody his turn',
    'engine/invalidations.ts',
    'const AT_ONCE = 256;',
    'const AT_ONCE = 1e9;',
    [LARGE, '100,000 of them, is applied to each, and reads of others go on meanwhile [memory]'],
  ),
];
