import { breaking } from './breaking.mjs';

const RATE = 'source-protection';
const BREAKER = 'source-breaker';

/**
 * Of what stands between the loads and their source: the cap on loads per second, and the breaker.
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
];
