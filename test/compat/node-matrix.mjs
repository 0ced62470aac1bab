// Runs the tests under several versions of Node.js, which npx brings, and prints a table. Not part of `npm test`.
//
//   npm run test:matrix                                     the default versions and projects
//   npm run test:matrix -- 22 24 --project=compat           others
//
// The reports are kept in .cache/compat/matrix.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const REPORTER = fileURLToPath(new URL('./support/matrix-reporter.mjs', import.meta.url));
const REPORTS = join(ROOT, '.cache', 'compat', 'matrix');
/** The oldest that package.json allows, then the newest of each line. */
const VERSIONS = ['20.19.0', '20', '22', '24'];
const PROJECTS = ['unit', 'contract', 'e2e', 'compat'];
const SHOWN_FAILURES = 20;

const given = process.argv.slice(2);
const versions = given.filter((argument) => !argument.startsWith('-'));
const projects = given.flatMap((argument) => /^--project=(.+)$/.exec(argument)?.[1].split(',') ?? []);
const unknown = given.filter((argument) => argument.startsWith('-') && !/^--project=./.test(argument));
if (unknown.length > 0) {
  console.error(`Unknown: ${unknown.join(' ')}. Usage: npm run test:matrix -- [version …] [--project=name,…]`);
  process.exit(2);
}

/** Runs Node.js of that version. */
function node(version, args, stdio, env = {}) {
  return spawnSync('npx', ['-y', '-p', `node@${version}`, '--', 'node', ...args], {
    cwd: ROOT,
    stdio,
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1', ...env },
  });
}

function failuresOf(report) {
  return report.testResults.flatMap((file) => {
    const failed = file.assertionResults.filter((test) => test.status === 'failed').map((test) => test.fullName);
    // A file that could not even be loaded has failed, but holds no failed test.
    return file.status === 'failed' && failed.length === 0 ? [`${file.name}: ${file.message}`] : failed;
  });
}

function testUnder(version) {
  const exact = node(version, ['--print', 'process.version'], ['ignore', 'pipe', 'inherit']).stdout.trim();
  const outputFile = join(REPORTS, `node-${version}.json`);
  rmSync(outputFile, { force: true });
  const chosen = (projects.length > 0 ? projects : PROJECTS).flatMap((name) => ['--project', name]);
  const started = Date.now();
  console.error(`\n==> Node.js ${exact}`);
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', `--reporter=${REPORTER}`, ...chosen];
  const { status } = node(version, vitest, ['ignore', 'ignore', 'inherit'], { MATRIX_REPORT: outputFile });
  const seconds = Math.round((Date.now() - started) / 1000);
  const report = JSON.parse(readFileSync(outputFile, 'utf8'));
  const { numPassedTests: passed, numFailedTests: failed, numPendingTests: skipped } = report;
  const row = { 'Node.js': exact, files: report.testResults.length, passed, failed, skipped, seconds };
  return { row, ok: status === 0, failures: failuresOf(report) };
}

mkdirSync(REPORTS, { recursive: true });
const runs = (versions.length > 0 ? versions : VERSIONS).map((version) => testUnder(version));

for (const { row, failures } of runs) {
  if (failures.length === 0) continue;
  console.log(`\nFailed under ${row['Node.js']}:`);
  for (const failure of failures.slice(0, SHOWN_FAILURES)) console.log(`  ${failure}`);
  if (failures.length > SHOWN_FAILURES) console.log(`  … and ${failures.length - SHOWN_FAILURES} more`);
}
console.table(Object.fromEntries(runs.map(({ row }, index) => [index + 1, row])));
process.exitCode = runs.every(({ ok }) => ok) ? 0 : 1;
