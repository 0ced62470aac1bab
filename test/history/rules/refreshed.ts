import { keyOf, ms, type Rule } from '../facts.js';

/** Promise 2: a refresh is given what began after it was asked for. */
export const refreshed: Rule = (facts) =>
  [...facts.valuesByKey.values()].flat().flatMap(({ read, value, maker }) => {
    if (read.via !== 'refresh' || maker.beganAt >= read.beganAt) return [];
    return {
      promise: 2,
      rule: 'refresh is new',
      what: `${read.process} refreshed ${keyOf(read)} and was given ${value.loadId}, which began ${ms(read.beganAt - maker.beganAt)} before`,
      operations: [maker.operation, read],
    };
  });
