import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CACHE_DIR } from '../support/paths.js';
import { runCampaign } from './campaign.js';
import { FAULT_NAMES } from './faults.js';
import { isClean, markdownOf, reportOf } from './report.js';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seconds: { type: 'string' },
    seed: { type: 'string' },
    processes: { type: 'string', default: '4' },
    reads: { type: 'string', default: '400' },
    'calm-from': { type: 'string', default: '1000' },
    'calm-to': { type: 'string', default: '6000' },
    lies: { type: 'string', default: '0' },
    // Only faults whose name contains it.
    only: { type: 'string', default: '' },
    report: { type: 'string', default: 'campaign' },
  },
});

const folder = join(CACHE_DIR, 'reports');
mkdirSync(folder, { recursive: true });
const file = (extension: string): string => join(folder, `${values.report}.${extension}`);
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
const seconds = values.seconds === undefined ? Number(values.minutes) * 60 : Number(values.seconds);
const progress = (line: string): void => void process.stdout.write(`${line}\n`);

progress(`Campaign of ${seconds} s, seed ${seed}`);
const result = await runCampaign({
  seconds,
  seed,
  progress,
  processes: Number(values.processes),
  readsPerSecond: Number(values.reads),
  calm: [Number(values['calm-from']), Number(values['calm-to'])],
  lies: Number(values.lies),
  faults: FAULT_NAMES.filter((name) => name.includes(values.only)),
  historyFile: file('history.jsonl'),
});
const report = reportOf(result);
const markdown = markdownOf(report);
writeFileSync(file('json'), `${JSON.stringify(report, undefined, 2)}\n`);
writeFileSync(file('md'), markdown);
progress(`\n${markdown}`);
process.exitCode = isClean(report) ? 0 : 1;
