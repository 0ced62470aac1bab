import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { endChild, killWithParent } from '../support/children.js';
import { CACHE_DIR, PROJECT_ROOT } from '../support/paths.js';
import type { CampaignReport } from './report.js';

const REPORT = 'campaign-test';
/** Faults follow each other quickly, or few would fit into a short campaign. */
const BRISK = ['--calm-from', '400', '--calm-to', '1400'];

const reports = join(CACHE_DIR, 'reports');
const campaigns: ChildProcess[] = [];

afterEach(async () => {
  await Promise.all(campaigns.splice(0).map((child) => endChild(child)));
  for (const name of readdirSync(reports)) if (name.startsWith(`${REPORT}.`)) rmSync(join(reports, name));
});

interface Run {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
}

/** A campaign in a process group of its own, so that whatever it leaves behind can be found. */
function start(...args: string[]): {
  readonly group: number;
  readonly child: ChildProcess;
  readonly ended: Promise<Run>;
} {
  const script = join(PROJECT_ROOT, 'test/campaign/run.mjs');
  const child = killWithParent(
    spawn(process.execPath, [script, '--report', REPORT, ...BRISK, ...args], {
      cwd: PROJECT_ROOT,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  );
  campaigns.push(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  const ended = new Promise<Run>((resolve) => child.once('close', (code, signal) => resolve({ code, signal, output })));
  return { group: child.pid!, child, ended };
}

function reported(): CampaignReport {
  return JSON.parse(readFileSync(join(reports, `${REPORT}.json`), 'utf8')) as CampaignReport;
}

async function expectNothingLeft(group: number): Promise<void> {
  // What was killed is gone once somebody has collected it.
  const isGone = (): void => expect(() => process.kill(-group, 0), 'processes of the campaign').toThrow('ESRCH');
  await vi.waitFor(isGone, 5_000);
  expect(readdirSync(join(CACHE_DIR, 'campaign'))).not.toContain(String(group));
}

describe('a campaign of four processes under faults', () => {
  it('finds no breach of a promise', async () => {
    const campaign = start('--seconds', '25', '--seed', '20');
    const { code, output } = await campaign.ended;
    expect(code, output).toBe(0);
    const { breachesFound, troubles, readsChecked, loadsMade, faults, tally, promises } = reported();
    expect({ breachesFound, troubles }).toEqual({ breachesFound: 0, troubles: [] });
    expect(readsChecked).toBeGreaterThan(3_000);
    expect(loadsMade).toBeGreaterThan(200);
    expect(tally.invalidations['applied']).toBeGreaterThan(50);
    expect(Object.keys(faults).length).toBeGreaterThan(6);
    expect(promises.every(({ nines }) => nines >= 3)).toBe(true);
    await expectNothingLeft(campaign.group);
  }, 120_000);

  it('finds the breach when a process answers with an old value as if it were fresh', async () => {
    const campaign = start('--seconds', '8', '--seed', '21', '--lies', '0.05');
    const { code, output } = await campaign.ended;
    expect(code, output).toBe(1);
    const { breaches } = reported();
    expect(breaches['no stale value']?.promise).toBe(3);
    expect(breaches['no stale value']?.examples[0]?.history).toMatch(
      /load .*invalidate .*balances.* (fresh|loaded|uncached)/s,
    );
    expect(output).toContain('BREACH of promise 3');
    const history = readFileSync(join(reports, `${REPORT}.history.jsonl`), 'utf8');
    expect(history.split('\n').length).toBeGreaterThan(100);
    await expectNothingLeft(campaign.group);
  }, 120_000);

  it('leaves nothing behind when it is interrupted', async () => {
    const campaign = start('--seconds', '60', '--seed', '22');
    const folders = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith('cache-guard-campaign-'));
    const before = folders();
    const journals = (): string[] =>
      folders()
        .filter((name) => !before.includes(name))
        .flatMap((name) => readdirSync(join(tmpdir(), name)).map((file) => join(tmpdir(), name, file)))
        .filter((file) => file.endsWith('.jsonl') && statSync(file).size > 0);
    await vi.waitFor(() => expect(journals(), 'processes that have recorded something').toHaveLength(4), 20_000);
    campaign.child.kill('SIGINT');
    expect(await campaign.ended).toMatchObject({ code: null, signal: 'SIGINT' });
    await expectNothingLeft(campaign.group);
    expect(folders()).toEqual(before);
  }, 120_000);
});
