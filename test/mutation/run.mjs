// Takes the library's fences out, one at a time, and expects the test that is named to fail:
// node test/mutation/run.mjs [part of a name | --sample]
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';
import { mutations } from './mutations.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const WORK = join(ROOT, '.cache/mutation');
const REPORT = join(ROOT, '.cache/reports/mutation.json');
const COPIED = ['lib', 'test', 'package.json', 'tsconfig.json', 'vitest.config.ts'];
const WORKERS = 2;
/** Of a mutant's test; the same test of the library as it is takes a fraction of it. */
const TEST_TIMEOUT_MS = 4_000;
/** Of a whole run: what takes longer hangs in a way that no test time-out ends. */
const RUN_TIMEOUT_MS = 60_000;

/** Makes a copy of the project in which one mutation after another is tried. */
function makeWorker(name) {
  const folder = join(WORK, name);
  mkdirSync(join(folder, '.cache'), { recursive: true });
  for (const item of COPIED) cpSync(join(ROOT, item), join(folder, item), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const redis = join(ROOT, '.cache/redis');
  if (existsSync(redis)) symlinkSync(redis, join(folder, '.cache/redis'));
  return folder;
}

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);

/** Runs one test in a worker's copy; resolves to its JSON report, or to nothing when there is none. */
function runTest(folder, { file, name, project = 'promises' }, servers) {
  const report = join(folder, '.cache/reports/vitest.json');
  rmSync(report, { force: true });
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
  // prettier-ignore
  const args = [
    vitest, 'run', basename(file), `--project=${project}`, '-t', `${escaped(name)}$`, '--reporter=json',
    `--testTimeout=${TEST_TIMEOUT_MS}`, '--no-file-parallelism',
  ];
  const env = { ...process.env, CACHE_GUARD_TEST_SERVERS: JSON.stringify(servers) };
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, {
      cwd: folder,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: RUN_TIMEOUT_MS,
    });
    let output = '';
    const keep = (chunk) => (output = (output + chunk).slice(-2_000));
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('close', () =>
      resolve({ report: existsSync(report) && JSON.parse(readFileSync(report, 'utf8')), output }),
    );
  });
}

/** @returns `caught`, or why it is not. */
function judge({ report, output }, { name }) {
  if (!report) return { caught: false, why: `no report: ${output}` };
  const broken = report.testResults.find(({ message, assertionResults }) => message && assertionResults.length === 0);
  if (broken) return { caught: false, why: `the file did not run: ${broken.message}` };
  const ran = report.testResults.flatMap(({ assertionResults }) =>
    assertionResults.filter(({ title, status }) => title === name && (status === 'passed' || status === 'failed')),
  );
  if (ran.length !== 1) return { caught: false, why: `${ran.length} tests of this name ran` };
  const [{ status, failureMessages }] = ran;
  if (status === 'passed') return { caught: false, why: 'SURVIVED' };
  return { caught: true, why: failureMessages[0]?.split('\n')[0] ?? '' };
}

async function tryOne(folder, mutation, servers) {
  const { file, find, replace, test } = mutation;
  const path = join(folder, file);
  const original = readFileSync(path, 'utf8');
  const occurs = original.split(find).length - 1;
  if (occurs !== 1) return { caught: false, why: `what to find occurs ${occurs} times in ${file}` };
  writeFileSync(
    path,
    original.replace(find, () => replace),
  );
  try {
    return judge(await runTest(folder, test, servers), test);
  } finally {
    writeFileSync(path, original);
  }
}

/** A quarter of them, and at least one of each promise. */
function sample() {
  const promises = new Set();
  return mutations.filter(({ promise }, index) => {
    const first = !promises.has(promise);
    promises.add(promise);
    return first || index % 4 === 0;
  });
}

async function main(filter) {
  const wanted = filter === '--sample' ? sample() : mutations.filter(({ name }) => !filter || name.includes(filter));
  const pending = [...wanted];
  const failures = [];
  rmSync(WORK, { recursive: true, force: true });
  const { startRedis } = (await runnerImport(join(ROOT, 'test/support/redis-server.ts'))).module;
  const redis = await startRedis();
  const servers = { redisUrl: redis.url, clusterNodes: [] };
  try {
    const work = async (_, index) => {
      const folder = makeWorker(`worker-${index + 1}`);
      for (let mutation = pending.shift(); mutation; mutation = pending.shift()) {
        const began = performance.now();
        const { caught, why } = await tryOne(folder, mutation, servers);
        if (!caught) failures.push(mutation);
        const seconds = ((performance.now() - began) / 1_000).toFixed(1);
        console.log(
          `${caught ? 'caught ' : 'MISSED '} promise ${mutation.promise}: ${mutation.name} (${seconds} s): ${why}`,
        );
      }
    };
    await Promise.all(Array.from({ length: WORKERS }, work));
  } finally {
    await redis.stop();
    rmSync(WORK, { recursive: true, force: true });
  }
  const passed = wanted.length - failures.length;
  mkdirSync(join(REPORT, '..'), { recursive: true });
  writeFileSync(REPORT, `${JSON.stringify({ passed, failed: failures.length })}\n`);
  console.log(`${passed} mutations caught, ${failures.length} missed`);
  process.exitCode = failures.length > 0 || wanted.length === 0 ? 1 : 0;
}

await main(process.argv[2]);
