import { beforeEach, describe, expect, it } from 'vitest';
import { Trust, TRUST_MS } from '../../../lib/core/trust.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';

let clock: FakeClock;
let trust: Trust;

beforeEach(() => {
  clock = new FakeClock();
  trust = new Trust(clock);
});

/** A beat that comes back after `ms`. */
function beat(number: number, ms = 0): void {
  trust.send(number);
  clock.advance(ms);
  trust.heard(number);
}

describe('whether signals are known to arrive', () => {
  it('they are not before a beat has come back', () => {
    expect(trust.alive).toBe(false);
    trust.send(1);
    expect(trust.alive).toBe(false);
    trust.heard(1);
    expect(trust.alive).toBe(true);
  });

  it('a beat vouches from when it was sent, not from when it came back', () => {
    beat(1, TRUST_MS - 1);
    expect(trust.alive).toBe(true);
    clock.advance(1);
    expect(trust.alive).toBe(false);
  });

  it('one that took too long vouches for nothing', () => {
    beat(1, TRUST_MS);
    expect(trust.alive).toBe(false);
  });

  it('a second is never exceeded', () => {
    expect(TRUST_MS).toBeLessThan(1_000);
  });

  it.each([
    ['that never was sent', () => trust.heard(7)],
    ['that did not leave', () => (trust.send(2), trust.unsent(2), trust.heard(2))],
    ['that was sent before a loss', () => (trust.send(2), trust.lost(), trust.heard(2))],
    ['that came back already', () => (clock.advance(TRUST_MS), trust.heard(1))],
  ])('a beat %s proves nothing', (_what, hear) => {
    beat(1);
    clock.advance(TRUST_MS - 1);
    hear();
    clock.advance(1);
    expect(trust.alive).toBe(false);
  });

  it('is over with a loss, at once', () => {
    beat(1);
    trust.lost();
    expect(trust.alive).toBe(false);
  });

  it('the machine was suspended: wall time counts as well', () => {
    beat(1);
    clock.jumpWall(TRUST_MS);
    expect(trust.alive).toBe(false);
  });

  it('a wall clock that is set back makes nothing younger', () => {
    beat(1);
    clock.jumpWall(-3_600_000);
    clock.advance(TRUST_MS);
    expect(trust.alive).toBe(false);
  });
});

describe('the era of what was learnt', () => {
  /** What was learnt now; whether it is still good is asked when the next beat has come back. */
  function learn(): () => boolean {
    const { era, proven } = trust;
    return () => {
      beat(9);
      return proven && trust.era === era && trust.alive;
    };
  }

  function survives(what: () => void): boolean {
    beat(1);
    const isGood = learn();
    what();
    return isGood();
  }

  it('beats that come back in their order change nothing', () => {
    expect(survives(() => [2, 3, 4].forEach((number) => beat(number, 250)))).toBe(true);
    expect(survives(() => (trust.send(2), trust.send(3), trust.heard(2), trust.heard(3)))).toBe(true);
  });

  it('a beat that did not leave is not missing', () => {
    expect(survives(() => (trust.send(2), trust.unsent(2)))).toBe(true);
  });

  it('one that left and is missing ends it', () => {
    expect(survives(() => trust.send(2))).toBe(false);
  });

  it('a loss ends it', () => {
    expect(survives(() => trust.lost())).toBe(false);
  });

  it('what is learnt between a loss and the first beat after it is not trusted', () => {
    beat(1);
    trust.lost();
    expect(learn()()).toBe(false);
    expect(learn()()).toBe(true);
  });

  it('nor is what is learnt before the very first', () => {
    expect(learn()()).toBe(false);
  });

  it('a pause without a loss ends trust, not the era: the connection stood, and nothing is missing', () => {
    expect(survives(() => clock.advance(60_000))).toBe(true);
    clock.advance(TRUST_MS);
    expect(learn()()).toBe(true);
  });
});
