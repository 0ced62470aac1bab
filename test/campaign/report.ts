import { nines } from '../history/checker.js';
import type { CampaignResult } from './campaign.js';

/** The promises that the checker has rules for, by what they are called. */
const PROMISES: readonly (readonly [promise: number, name: string])[] = [
  [1, 'One flight'],
  [2, 'No stale set'],
  [3, 'Read after invalidate'],
  [4, 'Bounded age'],
  [5, 'Bounded wait'],
  [9, 'Redis away'],
  [10, 'L1 trust'],
  [11, 'Monotonic versions'],
];

export interface PromiseSummary {
  readonly promise: number;
  readonly name: string;
  readonly breaches: number;
  readonly nines: number;
}

export interface CampaignReport extends CampaignResult {
  readonly readsChecked: number;
  readonly loadsMade: number;
  readonly breachesFound: number;
  readonly promises: readonly PromiseSummary[];
}

export function reportOf(result: CampaignResult): CampaignReport {
  const readsChecked = sum(result.tally.reads);
  const promises = PROMISES.map(([promise, name]) => {
    const breaches = sum(countsOf(result, promise));
    return { promise, name, breaches, nines: nines(Math.floor(readsChecked / Math.max(1, breaches))) };
  });
  const breachesFound = sum(countsOf(result));
  return { ...result, readsChecked, loadsMade: sum(result.tally.loads), breachesFound, promises };
}

/** Whether nothing was wrong, neither with the library nor with the campaign. */
export function isClean({ breachesFound, troubles, readsChecked }: CampaignReport): boolean {
  return breachesFound === 0 && troubles.length === 0 && readsChecked > 0;
}

export function markdownOf(report: CampaignReport): string {
  const { seconds, seed, tally, faults, discoveryMs, breaches, troubles, promises } = report;
  const invalidations = { ...tally.invalidations, 'carried out later': tally.carriedOut };
  const slowest = Math.max(0, ...discoveryMs);
  return [
    '# Campaign',
    '',
    `${seconds} s with seed ${seed}: ${report.readsChecked} reads checked, ${report.breachesFound} breaches.`,
    '',
    ...table(
      ['what', 'how many'],
      [
        ...rows('reads', tally.reads),
        ...rows('reads without a value', tally.others),
        ...rows('loads', tally.loads),
        ...rows('writes', tally.puts),
        ...rows('invalidations', invalidations),
        ['commands that were not answered', `${tally.unanswered}, of which no fault explains ${tally.unexplained}`],
        ['stalls of a process', tally.stalls],
        ['longest use of a dead connection', `${slowest} ms`],
        ['longest judging of a window', `${report.longestJudgingMs} ms`],
      ],
    ),
    '',
    ...table(['fault', 'times'], Object.entries(faults)),
    '',
    ...table(
      ['promise', 'breaches', 'nines of the reads'],
      promises.map((one) => [`${one.promise} ${one.name}`, one.breaches, one.nines]),
    ),
    '',
    ...Object.entries(breaches).flatMap(([rule, { promise, count, examples }]) => [
      `## Promise ${promise}, ${rule}: ${count}`,
      '',
      ...examples.flatMap(({ history }) => ['```', history, '```', '']),
    ]),
    ...(troubles.length > 0 ? ['## Troubles of the campaign', '', ...troubles.map((text) => `- ${text}`), ''] : []),
  ].join('\n');
}

function countsOf({ breaches }: CampaignResult, promise?: number): Record<string, number> {
  const found = Object.entries(breaches).filter(([, one]) => promise === undefined || one.promise === promise);
  return Object.fromEntries(found.map(([rule, { count }]) => [rule, count]));
}

function rows(label: string, counts: Readonly<Record<string, number>>): [string, number][] {
  return Object.entries(counts)
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, count]) => [`${label}: ${name}`, count]);
}

function table(head: readonly string[], body: readonly (readonly (string | number)[])[]): string[] {
  const line = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...body.map(line)];
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((all, count) => all + count, 0);
}
