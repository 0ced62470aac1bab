/** How many run at once, and begin in one turn of the event loop. */
const AT_ONCE = 128;

/**
 * Does what it is given in its order, a bounded number at once. However much it is given at once, the commands of it do not wait for each
 * other while their time runs, and whoever else has something to do in this process has his turn.
 */
export class Lane {
  private readonly waiting: (() => void)[] = [];
  private free = AT_ONCE;
  private freed = 0;

  /** Resolves, or rejects, as `work` does. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.free > 0) this.free--;
    else await new Promise<void>((resolve) => this.waiting.push(resolve));
    try {
      return await work();
    } finally {
      // A place is given on in the next turn of the event loop: work that ends without one would never let others come.
      if (++this.freed === 1) setImmediate(() => this.giveOn());
    }
  }

  private giveOn(): void {
    const begin = this.waiting.splice(0, this.freed);
    this.free += this.freed - begin.length;
    this.freed = 0;
    for (const one of begin) one();
  }
}
