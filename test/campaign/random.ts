/** Numbers that look random and are the same for the same seed (mulberry32). */
export class Random {
  constructor(private state: number) {}

  /** From 0 (inclusive) to 1 (exclusive). */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  between(from: number, to: number): number {
    return from + this.next() * (to - from);
  }

  /** As often short as long: each order of magnitude has its share. */
  spread(from: number, to: number): number {
    return from * (to / from) ** this.next();
  }

  below(count: number): number {
    return Math.floor(this.next() * count);
  }

  chance(share: number): boolean {
    return this.next() < share;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  shuffled<T>(items: readonly T[]): T[] {
    const all = [...items];
    for (let left = all.length; left > 1; left--) {
      const other = this.below(left);
      [all[left - 1], all[other]] = [all[other]!, all[left - 1]!];
    }
    return all;
  }

  /** Numbers of its own, which depend on this one's state only at this moment. */
  fork(): Random {
    return new Random(this.below(2 ** 31));
  }
}
