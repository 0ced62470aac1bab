// Adds up the reports in .cache/reports and prints "N passed, N failed" as the last line.
// Usage: node .ci/summary.mjs <exit status of the run> <stage it ended in>
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const REPORTS = '.cache/reports';
const status = Number(process.argv[2] ?? 0);
const stage = process.argv[3] ?? 'run';

/** One line for each failed test, to be found without scrolling through stack traces. */
function listFailures(report) {
  for (const file of report.testResults ?? []) {
    for (const test of file.assertionResults.filter((one) => one.status === 'failed')) {
      console.log(`failed: ${test.fullName}: ${(test.failureMessages[0] ?? '').slice(0, 300)}`);
    }
  }
}

/** @returns {{ passed: number, failed: number }} */
function countsOf(report) {
  if (typeof report.numPassedTests !== 'number') {
    // Any other runner writes plain totals.
    return { passed: report.passed, failed: report.failed };
  }
  // A file that could not even be loaded has failed, but holds no failed test.
  const broken = report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  );
  return { passed: report.numPassedTests, failed: report.numFailedTests + broken.length };
}

let passed = 0;
let failed = 0;
const files = existsSync(REPORTS) ? readdirSync(REPORTS).filter((name) => name.endsWith('.json')) : [];
for (const name of files) {
  try {
    const report = JSON.parse(readFileSync(join(REPORTS, name), 'utf8'));
    listFailures(report);
    const counts = countsOf(report);
    if (!Number.isInteger(counts.passed) || !Number.isInteger(counts.failed)) throw new Error('no totals');
    passed += counts.passed;
    failed += counts.failed;
  } catch (error) {
    console.log(`${name} is not a usable report: ${error.message}`);
    failed += 1;
  }
}

// A stage that failed without a failed test (a lint error, a crash, an unhandled rejection) counts as one failure.
if (status !== 0) {
  console.log(`\nThe stage "${stage}" failed with exit status ${status}.`);
  failed = Math.max(failed, 1);
} else if (passed + failed === 0) {
  console.log('\nNo test has reported anything.');
  failed = 1;
}

console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
