import { grouped, type Breach, type Rule } from '../facts.js';
import { endOf, type Load } from '../history.js';

/** Promise 9: whatever fails, the loads of a process and domain stay within its bulkhead. */
export const bulkhead: Rule = (facts) => {
  const groups = new Map<string, Load[]>();
  for (const load of [...facts.loadsByKey.values()].flat()) {
    if (load.via !== 'write') grouped(groups, `${load.process}/${load.domain}`).push(load);
  }
  const breaches: Breach[] = [];
  for (const loads of groups.values()) {
    loads.sort((a, b) => a.beganAt - b.beganAt);
    const { concurrency } = facts.rules(loads[0]!.domain);
    let open: Load[] = [];
    for (const load of loads) {
      open = [...open.filter((other) => endOf(other) > load.beganAt), load];
      if (open.length <= concurrency) continue;
      breaches.push({
        promise: 9,
        rule: 'bulkhead',
        what: `${open.length} loads of '${load.domain}' ran at once in ${load.process}; the bulkhead has ${concurrency} places`,
        operations: open,
      });
    }
  }
  return breaches;
};
