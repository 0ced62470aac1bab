import type { WarmingEvent } from '../../core/events.js';

/** What the bar is drawn on. */
export interface Terminal {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

const CLEAR_LINE = '\r\u001B[2K';
const WIDTH = 24;

/** Shows on one line of a terminal how far warmings have come, and leaves nothing there when they are over. */
export class WarmingBar {
  private readonly shown = new Map<string, string>();

  constructor(
    private readonly terminal: Terminal,
    /** Names of warmings that are not shown. */
    private readonly silent: ReadonlySet<string>,
  ) {}

  show(event: WarmingEvent): void {
    const { name, state } = event;
    if (!this.terminal.isTTY || this.silent.has(name)) return;
    if (state === 'running') this.shown.set(name, textOf(event));
    else if (!this.shown.delete(name)) return;
    this.terminal.write(CLEAR_LINE + [...this.shown.values()].join('  '));
  }

  close(): void {
    if (this.shown.size > 0) this.terminal.write(CLEAR_LINE);
    this.shown.clear();
  }
}

function textOf({ name, done, failed, skipped, total }: WarmingEvent): string {
  const over = done + failed + skipped;
  const failures = failed > 0 ? `, ${failed} failed` : '';
  if (total === undefined) return `warming ${name}: ${over}${failures}`;
  const share = total === 0 ? 1 : Math.min(1, over / total);
  const full = Math.floor(WIDTH * share);
  const bar = '█'.repeat(full) + '░'.repeat(WIDTH - full);
  return `warming ${name} ${bar} ${Math.floor(100 * share)} % ${over}/${total}${failures}`;
}
