import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { killWithParent } from '../support/children.js';
import { CACHE_DIR } from '../support/paths.js';

const SCRIPT = join(CACHE_DIR, 'fleet/fleet/workers/waits.js');

/** Runs a script to the end of its process; Node's 13 says that it ended in the middle of an `await`. */
function run(what: string): Promise<{ code: number; printed: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [SCRIPT, what], { timeout: 50_000 }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code ?? -1) : 0, printed: stdout.trim() || stderr });
    });
    killWithParent(child);
  });
}

describe('the process of a script without a server', () => {
  it.concurrent.each([
    ['an event that waits for the end of its window', 'publish', 'done'],
    ['a comparison with the source', 'reconcile', '2'],
    ['the answer of a source that gives none', 'question', 'CG_RECONCILIATION_FAILED'],
    ['a load that hangs', 'load', 'CG_LOAD_TIMEOUT'],
    ['a refresh that hangs', 'refresh', 'CG_LOAD_TIMEOUT'],
    ['a load of nobody else that hangs', 'uncacheable', 'CG_LOAD_TIMEOUT'],
    ['the soft time-out', 'soft', 'old'],
    ['a probe that hangs', 'probe', 'new'],
    ['its turn of the rate', 'turn', 'a,b'],
    ['a warming', 'warm', '2'],
    ['room for a warming', 'room', 'done'],
    ['a list that does not clean up', 'list', 'stopped'],
    ['the end of the guard', 'close', 'CG_CLOSED'],
    ['an event source that neither opens nor closes', 'source', 'done'],
  ])('goes on for who waits for %s', async (_title, what, printed) => {
    expect(await run(what)).toEqual({ code: 0, printed });
  });

  it('is not kept alive by a guard that nobody waits for', async () => {
    expect(await run('idle')).toEqual({ code: 0, printed: '0' });
  });
});
