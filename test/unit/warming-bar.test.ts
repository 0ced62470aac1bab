import { describe, expect, it } from 'vitest';
import type { WarmingEvent } from '../../lib/core/events.js';
import { WarmingBar } from '../../lib/nest/warming/warming-bar.js';

const CLEAR = '\r\u001B[2K';
const event = (given: Partial<WarmingEvent> = {}): WarmingEvent => ({
  type: 'warming',
  domain: 'offers',
  name: 'boot',
  state: 'running',
  done: 40,
  failed: 0,
  skipped: 10,
  total: 200,
  error: undefined,
  ...given,
});

function make(isTTY = true, silent: string[] = []) {
  const written: string[] = [];
  return { written, bar: new WarmingBar({ isTTY, write: (text) => written.push(text) }, new Set(silent)) };
}

describe('the bar', () => {
  it('is one line that says how far a warming has come, and is gone at its end', () => {
    const { bar, written } = make();
    bar.show(event());
    bar.show(event({ done: 190, failed: 2 }));
    bar.show(event({ state: 'done' }));
    expect(written).toEqual([
      `${CLEAR}warming boot ██████░░░░░░░░░░░░░░░░░░ 25 % 50/200`,
      `${CLEAR}warming boot ████████████████████████ 100 % 202/200, 2 failed`,
      CLEAR,
    ]);
  });

  it('is a number where nobody knows how much there is', () => {
    const { bar, written } = make();
    bar.show(event({ total: undefined, failed: 1 }));
    bar.show(event({ total: 0, done: 0, skipped: 0 }));
    expect(written[0]).toBe(`${CLEAR}warming boot: 51, 1 failed`);
    expect(written[1]).toMatch(/ 100 % 0\/0$/);
  });

  it('shows several warmings beside each other', () => {
    const { bar, written } = make();
    bar.show(event({ total: undefined }));
    bar.show(event({ total: undefined, name: 'cards' }));
    bar.show(event({ state: 'failed' }));
    expect(written.slice(1)).toEqual([`${CLEAR}warming boot: 50  warming cards: 50`, `${CLEAR}warming cards: 50`]);
    bar.close();
    bar.close();
    expect(written.slice(3)).toEqual([CLEAR]);
  });

  it('is drawn on a terminal only, and not for whom it is not wanted', () => {
    for (const { bar, written } of [make(false), make(true, ['boot'])]) {
      bar.show(event());
      bar.show(event({ state: 'done' }));
      bar.close();
      expect(written).toEqual([]);
    }
  });
});
