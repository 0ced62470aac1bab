import type { ChildProcess } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Child processes that must not outlive this one. A crashed parent leaves its children alive, and a paused child ignores
 * SIGTERM, so every child registered here gets SIGKILL when this process exits (short of a SIGKILL of its own).
 */
const children = new Set<ChildProcess>();
const folders = new Set<string>();
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
let installed = false;

/** Kills `child` with this process; forgets it when it ends by itself. */
export function killWithParent<T extends ChildProcess>(child: T): T {
  install();
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

/** Removes the folder when this process exits; returns a function that removes it at once. */
export function removeWithParent(folder: string): () => void {
  install();
  folders.add(folder);
  return () => {
    folders.delete(folder);
    rmSync(folder, { recursive: true, force: true });
  };
}

export function isRunning(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

/** Sends `signal` and resolves when the child has ended. SIGKILL follows when it does not end in time. */
export async function endChild(
  child: ChildProcess,
  signal: NodeJS.Signals = 'SIGKILL',
  graceMs = 5_000,
): Promise<void> {
  if (!isRunning(child)) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  // A paused child hears nothing else before it goes on; the one signal that it need not hear leaves it no time to act.
  if (signal !== 'SIGKILL') child.kill('SIGCONT');
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
  await ended;
  clearTimeout(timer);
}

/** Freezes the child (SIGSTOP) and resolves once the kernel reports it as stopped. */
export async function pauseChild(child: ChildProcess): Promise<void> {
  child.kill('SIGSTOP');
  while (isRunning(child) && !isStopped(child.pid)) await sleep(1);
}

export function resumeChild(child: ChildProcess): void {
  child.kill('SIGCONT');
}

function isStopped(pid: number | undefined): boolean {
  if (process.platform !== 'linux') return true;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) === 'T';
  } catch {
    return true;
  }
}

function cleanUp(): void {
  for (const child of children) child.kill('SIGKILL');
  children.clear();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  folders.clear();
}

function install(): void {
  if (installed) return;
  installed = true;
  process.on('exit', cleanUp);
  for (const signal of SIGNALS) {
    const onSignal = (): void => {
      cleanUp();
      // A listener replaces the default action; when nobody else listens, ending is still up to us.
      if (process.listenerCount(signal) > 1) return;
      process.removeListener(signal, onSignal);
      process.kill(process.pid, signal);
    };
    process.on(signal, onSignal);
  }
}
