import { keyOf, KNOWN_EVERYWHERE_MS, ms, type Rule } from '../facts.js';
import { endOf } from '../history.js';

/** Promise 10: the memory of a process that nothing has reached for a second is not fresh. */
export const channelTrust: Rule = (facts) => {
  const cuts = facts.faults.filter(({ what }) => what === 'signals-cut' || what === 'store-away');
  if (cuts.length === 0) return [];
  return [...facts.valuesByKey.values()].flat().flatMap(({ read, value, maker }) => {
    if (value.tier !== 'l1' || value.state !== 'fresh') return [];
    const cut = cuts.find(
      (one) =>
        (one.process === undefined || one.process === read.process) &&
        read.beganAt > one.beganAt + KNOWN_EVERYWHERE_MS &&
        read.beganAt < endOf(one),
    );
    if (!cut) return [];
    return {
      promise: 10,
      rule: 'channel trust',
      what: `${read.process} took ${value.loadId} of ${keyOf(read)} in its memory for fresh, ${ms(read.beganAt - cut.beganAt)} after signals had ceased to reach it`,
      operations: [maker.operation, cut, read],
    };
  });
};
