import { keyOf, ms, type Rule } from '../facts.js';
import { endOf } from '../history.js';

/** Promise 4: nothing is served that was older than the hard TTL when its reader came. */
export const boundedAge: Rule = (facts) =>
  [...facts.valuesByKey.values()].flat().flatMap(({ read, value, maker }) => {
    const { hardMs } = facts.rules(read.domain);
    // What a write-through writes is the source's state at its end.
    const made =
      maker.operation.op === 'load' && maker.operation.via === 'write' ? endOf(maker.operation) : maker.beganAt;
    const ageMs = read.beganAt - made;
    if (ageMs <= hardMs) return [];
    return {
      promise: 4,
      rule: 'bounded age',
      what: `${read.process} was given ${value.loadId} of ${keyOf(read)} as ${value.state} at an age of ${ms(ageMs)}; hard TTL ${ms(hardMs)}`,
      operations: [maker.operation, read],
    };
  });
