import {
  circuitBreaker,
  CircuitState,
  ConsecutiveBreaker,
  ExponentialBackoff,
  halfJitterGenerator,
  handleWhen,
  isBrokenCircuitError,
} from 'cockatiel';
import type { Breaker, MakeBreaker } from '../core/breaker.js';

/** Breakers of cockatiel; it keeps the machine's time. */
export const makeBreaker: MakeBreaker = ({ failures, pauseMs, maxPauseMs, isFailure }): Breaker => {
  const policy = circuitBreaker(handleWhen(isFailure), {
    breaker: new ConsecutiveBreaker(failures),
    // Jittered, so that a fleet does not probe in step.
    halfOpenAfter: new ExponentialBackoff({
      initialDelay: pauseMs,
      maxDelay: maxPauseMs,
      generator: halfJitterGenerator,
    }),
  });
  return {
    get closed() {
      return policy.state === CircuitState.Closed;
    },
    async run(work, refusal) {
      if (policy.state === CircuitState.HalfOpen) throw refusal();
      const probe = policy.state === CircuitState.Open;
      try {
        return await policy.execute(() => work(probe));
      } catch (error) {
        throw isBrokenCircuitError(error) ? refusal() : error;
      }
    },
    onChange(listener) {
      // A probe that fails opens what has not been closed.
      let closed = true;
      const turn = (to: boolean) => {
        if (closed !== to) listener((closed = to));
      };
      policy.onBreak(() => turn(false));
      policy.onReset(() => turn(true));
    },
  };
};
