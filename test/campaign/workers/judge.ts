import { setPriority } from 'node:os';
import { serialise, type Fault, type History } from '../../history/history.js';
import { serve } from '../../support/worker-main.js';
import { JournalReader } from '../journal.js';
import { Judge } from '../judge.js';
import type { Verdict } from '../protocol.js';

// Judging a window takes a while, and those who are judged have no time to lose.
setPriority(10);

const journals: { readonly process: string; readonly reader: JournalReader }[] = [];
let judge: Judge;

serve({
  conditions: (conditions: Omit<History, 'operations'>) => {
    judge = new Judge(conditions);
  },

  /** A process began to write a journal. */
  follow: (process: string, journal: string) => {
    journals.push({ process, reader: new JournalReader(journal) });
  },

  fault: (id: string, fault: Fault) => judge.fault(id, fault),

  /** `withHistory`: what is at hand comes along when something was found. */
  judge: (until: number, withHistory: boolean): Verdict => {
    const beganAt = performance.now();
    for (const { process, reader } of journals) for (const line of reader.lines()) judge.line(process, line);
    const history = judge.history(until);
    const breaches = judge.judge(until);
    return {
      breaches,
      tally: judge.tally,
      tookMs: performance.now() - beganAt,
      history: withHistory && breaches.length > 0 ? serialise(history) : undefined,
    };
  },

  close: () => {
    for (const { reader } of journals) reader.close();
  },
});
