import { breaking, breakingOn } from './breaking.mjs';

const RATE = 'source-protection';
const BREAKER = 'source-breaker';

const GROUP_RULES = 'adapters/redis/stream/group-rules.ts';
const BETWEEN_LOOKS =
  'that were there between two looks have left word: it is made up for once, in the group as a whole';

/** Of whether domains may rest on a source of events. */
const reliant = (name, find, replace, title) => ({
  ...breaking(12)(name, 'engine/events/stakes.ts', find, replace, ['', '']),
  test: { file: 'test/promises/fresh-by.test.ts', name: `fresh by events: ${title}` },
});

/**
 * Of what stands between the loads and their source: the cap on loads per second, and the breaker. And of who vouches for a source of
 * events.
 *
 * @type {import('./breaking.mjs').Mutation[]}
 */
export const sourceMutations = [
  breaking(9)(
    'no load waits for a turn',
    'engine/bulkhead.ts',
    'if (this.pace.waitMs > 0) this.queue.pause();\n    this.arm();',
    'this.arm();',
    [RATE, 'loads begin evenly, never more than the cap in any second [memory]'],
  ),
  breaking(9)(
    'rest is saved up',
    'core/pace.ts',
    'const at = this.nextMs < now - LATE_MS ? now : this.nextMs;',
    'const at = Math.max(this.nextMs, 0);',
    [RATE, 'loads begin evenly, never more than the cap in any second [memory]'],
  ),
  breaking(9)(
    'a load that was given up before its call costs a turn',
    'engine/flight.ts',
    'free(true);\n      return landing.giveUp();',
    'free();\n      return landing.giveUp();',
    [RATE, 'nor does he who leaves between his turn and his load [memory]'],
  ),
  breaking(9)(
    'refreshes go before waiting readers',
    'engine/bulkhead.ts',
    '{ background: 0, foreground: 1 }',
    '{ background: 1, foreground: 0 }',
    [RATE, 'a waiting reader goes before refreshes that were there before him [memory]'],
  ),
  breaking(9)(
    'a refresh that is waited for stays behind',
    'engine/bulkhead.ts',
    'this.queue.setPriority(id, RANK[to]);',
    '{}',
    [RATE, 'a waiting reader goes before refreshes that were there before him [memory]'],
  ),
  breaking(9)(
    'loads inside loads take no turn',
    'engine/bulkhead.ts',
    'this.pace.take(this.perSecond());\n      if',
    'if',
    [RATE, 'loads inside loads count, and go first [memory]'],
  ),
  breaking(9)(
    'a load that is joined from inside a load begins at once',
    'engine/bulkhead.ts',
    'const free = await this.turn(gone.signal);',
    'const free = () => {};',
    [RATE, 'a load that waits for its turn keeps waiting when a load joins it [memory]'],
  ),
  breaking(9)(
    'the queue for a turn has no bound',
    'engine/bulkhead.ts',
    '(this.queue.isPaused || this.queue.pending >= concurrency)',
    '(this.queue.pending >= concurrency)',
    [RATE, 'the queue for a turn is bounded like that for a slot [memory]'],
  ),
  breaking(9)(
    'a lease that is not won costs a turn',
    'engine/flight.ts',
    "if (reply.kind !== 'granted') free(true);",
    "if (reply.kind !== 'granted') free();",
    [RATE, 'a key that another process loads costs no turn [memory]'],
  ),
  breaking(9)(
    'every process takes the whole rate',
    'engine/sources.ts',
    'policy.maxLoadsPerSecond / live()',
    'policy.maxLoadsPerSecond',
    [RATE, 'each process takes its share, at once when the fleet grows or shrinks [memory]'],
  ),
  breaking(9)(
    'who is silent because the store is away is taken for dead',
    'engine/store-health.ts',
    'trust.unsent(beat);',
    'trust.unsent(beat);\n      this.live = 1;',
    [RATE, 'while the store is away each keeps to its last share [memory]'],
  ),
  breaking(9)(
    'processes are not counted',
    'adapters/redis/scripts/beat.lua',
    "redis.pcall('ZADD', KEYS[1], int(math.min(now, tonumber(ARGV[8]) * 1000)), ARGV[3])",
    "redis.pcall('ZADD', KEYS[1], int(now), 'one')",
    [RATE, '2 processes begin no more loads per second than the cap, in sum [redis]'],
  ),

  breaking(8)('the breaker never opens', 'engine/sources.ts', 'if (!this.breaker) return load();', 'return load();', [
    BREAKER,
    'so many failures in a row, whatever the keys; then nobody asks the source [memory]',
  ]),
  breaking(8)(
    'an answer counts as a failure of the source',
    'engine/sources.ts',
    'if (!failed(this.policy, error)) return;',
    '',
    [BREAKER, 'a success or an answer in between begins the row anew [memory]'],
  ),
  breaking(8)(
    'an abandoned load counts as a failure of the source',
    'engine/sources.ts',
    '!(error instanceof Abandoned) || error.probe',
    'error !== undefined',
    [BREAKER, 'a load that nobody wants any more says nothing [memory]'],
  ),
  breaking(8)(
    'an abandoned probe closes the breaker',
    'engine/sources.ts',
    '!(error instanceof Abandoned) || error.probe',
    '!(error instanceof Abandoned)',
    [BREAKER, 'a probe that nobody wants any more proves nothing [memory]'],
  ),
  breaking(8)(
    'a hanging source does not count until it answers',
    'engine/sources.ts',
    "signal.addEventListener('abort', onAbort, { once: true });",
    '',
    [BREAKER, 'a load that outlasts its time-out has failed, and keeps its slot until it ends [memory]'],
  ),
  breaking(8)(
    'everybody probes at once',
    'adapters/breaker.ts',
    'if (policy.state === CircuitState.HalfOpen) throw refusal();',
    'if (policy.state === CircuitState.HalfOpen) return work(true);',
    [BREAKER, 'after the pause one load at a time tries; a success closes it [memory]'],
  ),
  breaking(8)(
    'a failed probe is told as another opening',
    'adapters/breaker.ts',
    'if (closed !== to) listener((closed = to));',
    'listener((closed = to));',
    [BREAKER, 'a probe that fails leaves it open, for longer, and is not told again [memory]'],
  ),
  breaking(8)(
    'a refusal costs a turn of the rate',
    'engine/flight.ts',
    "free(result.kind === 'threw' && this.source.refused(result.error))",
    'free()',
    [BREAKER, 'a refusal costs no turn of the rate: nobody waits to hear it [memory]'],
  ),
  breaking(8)('a refusal is told as a load', 'engine/landing.ts', '.refused(error)', '.refused(undefined)', [
    BREAKER,
    'so many failures in a row, whatever the keys; then nobody asks the source [memory]',
  ]),
  breaking(8)(
    'a refusal of a lone load is told as a load',
    'engine/lone-loads.ts',
    'if (!(await refused))',
    'if (result)',
    [BREAKER, 'a load for one caller only is refused as well, and is no load [memory]'],
  ),

  breakingOn('redis', 12)(
    'processes with other rules leave no word when they go',
    'adapters/redis/scripts/stream-give-back.lua',
    'if rules_of(ARGV[2]) then',
    'if false then',
    ['stream-rules', BETWEEN_LOOKS],
  ),
  breakingOn('redis', 12)(
    'what processes with other rules took is made up for again and again',
    GROUP_RULES,
    'await forget(left);',
    '',
    ['stream-rules', BETWEEN_LOOKS],
  ),
  breakingOn('redis', 12)(
    'what processes with other rules took is made up for at each look until it is taken over',
    GROUP_RULES,
    'this.settled = new Set(left);',
    '',
    ['stream-rules', 'that have died with something pending are made up for once, before it is taken over'],
  ),
  breakingOn('redis', 12)(
    'what is pending of a process with other rules is forgotten with it',
    'adapters/redis/scripts/stream-forget.lua',
    " and consumer['pending'] == 0",
    '',
    ['stream-rules', 'that have died with something pending are made up for once, before it is taken over'],
  ),
  breakingOn('redis', 12)(
    'processes with other rules are forgotten though nothing was made up for',
    'adapters/redis/scripts/stream-survey.lua',
    'if idle and alike and',
    'if idle and',
    ['stream-rules', 'that were there before are not forgotten while nobody has made up for it'],
  ),
  breakingOn('redis', 12)(
    'the same rules in another namespace do the same',
    GROUP_RULES,
    'fingerprintOf([namespace, rules])',
    'rules',
    ['stream-rules', 'are those of another namespace too'],
  ),
  {
    ...reliant(
      '',
      '',
      '',
      'a source for whose events there is no rule is not read where its events are shared [memory]',
    ),
    name: 'who has no rules takes the events of those who have',
    file: 'lib/engine/events/domain-events.ts',
    find: 'this.stakes.typesOf(name).size > 0',
    replace: 'this.stakes.all(name).size > 0',
  },
  ...['memory', 'redis'].map((store) =>
    reliant(
      `who has no rules for a domain vouches for it [${store}]`,
      'return this.reliantOn(source).filter((domain) => followers.has(domain));',
      'return this.reliantOn(source);',
      `only who has rules for it vouches for the source, whoever else reads it [${store}]`,
    ),
  ),
];
