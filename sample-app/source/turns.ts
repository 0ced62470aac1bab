/** Lets one at a time do something, in the order in which they came. */
export class Turns {
  private last: Promise<void> = Promise.resolve();

  /** @returns a function that ends the turn */
  async take(): Promise<() => void> {
    const before = this.last;
    let end = () => {};
    this.last = new Promise((resolve) => (end = resolve));
    await before;
    return end;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    const end = await this.take();
    try {
      return await work();
    } finally {
      end();
    }
  }
}
