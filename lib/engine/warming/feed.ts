import { isList, refuseWarming, type WarmingList } from '../../core/warming.js';

type Item<T> = IteratorResult<T, unknown>;

const END: Item<never> = { done: true, value: undefined };

/**
 * Asks a list for one item at a time, and not before somebody has time for it. Once it is ended, whoever waits for an item is told that
 * there is none: a list that never answers holds up nobody.
 */
export class Feed<T> {
  private iterator: Iterator<T> | AsyncIterator<T> | undefined;
  private tail: Promise<unknown> = Promise.resolve();
  private asking = false;
  private ended = false;
  private ending: Promise<void> | undefined;
  private readonly gone: Promise<Item<T>>;
  private tellGone!: () => void;

  constructor(private readonly list: WarmingList<T>) {
    this.gone = new Promise((resolve) => (this.tellGone = () => resolve(END)));
  }

  /** Rejects with what the list throws. */
  next(): Promise<Item<T>> {
    const item = this.tail.then(() => this.ask());
    this.tail = item.catch(() => {});
    return Promise.race([item, this.gone]);
  }

  /** Lets the list clean up; resolves when it has, unless it still owes an answer. */
  end(): Promise<void> {
    this.ending ??= this.cleanUp();
    return this.ending;
  }

  private async cleanUp(): Promise<void> {
    if (this.ended) return;
    this.ended = true;
    this.tellGone();
    const { iterator } = this;
    const returned = (async () => iterator?.return?.())().catch(() => {});
    if (!this.asking) await returned;
  }

  private async ask(): Promise<Item<T>> {
    if (this.ended) return END;
    this.asking = true;
    try {
      this.iterator ??= await open(this.list);
      if (this.ended) return END;
      const item = await this.iterator.next();
      if (item.done) this.ended = true;
      return item;
    } catch (error) {
      this.ended = true;
      throw error;
    } finally {
      this.asking = false;
    }
  }
}

async function open<T>(given: WarmingList<T>): Promise<Iterator<T> | AsyncIterator<T>> {
  const list = typeof given === 'function' ? await given() : given;
  if (!isList<T>(list))
    return refuseWarming('list', typeof list, 'the function is to give a list, an iterable or an async iterable');
  const asynchronous = (list as Partial<AsyncIterable<T>>)[Symbol.asyncIterator];
  return asynchronous ? asynchronous.call(list as AsyncIterable<T>) : (list as Iterable<T>)[Symbol.iterator]();
}

/** How many items a list has; `undefined`: it does not say. */
export function sizeOf(list: WarmingList<unknown>): number | undefined {
  if (Array.isArray(list)) return list.length;
  return list instanceof Set || list instanceof Map ? list.size : undefined;
}
