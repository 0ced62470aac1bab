import { readFileSync } from 'node:fs';
import { afterEach, expect, it } from 'vitest';
import { startWorker, type FleetWorker } from '../support/fleet-worker.js';

const workers: FleetWorker[] = [];

afterEach(async () => {
  for (const worker of workers.splice(0)) await worker.kill();
});

async function echoWorker(): Promise<FleetWorker> {
  const worker = await startWorker('echo');
  workers.push(worker);
  return worker;
}

it('runs a worker in a process of its own, on the built library, with decorator metadata', async () => {
  const worker = await echoWorker();
  const seen = await worker.call<{ pid: number; library: string; injected: string[] }>('whoAmI');
  expect(seen.pid).toBe(worker.pid);
  expect(seen.pid).not.toBe(process.pid);
  expect(seen.library).toBe(new URL('../../dist/index.js', import.meta.url).href);
  expect(seen.injected).toEqual(['Part']);
});

it('carries structured values, errors and their codes', async () => {
  const worker = await echoWorker();
  const value = { at: new Date(0), big: 2n ** 64n, seen: new Map([['a', new Set([1])]]) };
  expect(await worker.call('echo', value)).toEqual(value);
  await expect(worker.call('fail')).rejects.toMatchObject({ name: 'RangeError', code: 'E_RANGE' });
  await expect(worker.call('missing')).rejects.toThrow('serves no missing()');
});

it('pauses and resumes a worker', async () => {
  const worker = await echoWorker();
  await worker.pause();
  expect(readFileSync(`/proc/${worker.pid}/stat`, 'utf8')).toMatch(/\) T /);
  const reply = worker.call('echo', 'late');
  worker.resume();
  expect(await reply).toBe('late');
});

it('ends workers in good order, or by force', async () => {
  const [orderly, crashed] = await Promise.all([echoWorker(), echoWorker()]);
  expect(await orderly.stop()).toBe(true);
  await crashed.pause();
  const lost = crashed.call('echo', 'never');
  await Promise.all([expect(lost).rejects.toThrow('SIGKILL'), crashed.kill()]);
  await expect(orderly.call('echo', 'x')).rejects.toThrow('is not running');
});
