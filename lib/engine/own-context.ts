import { AsyncLocalStorage } from 'node:async_hooks';

interface Frame {
  readonly owner: object;
  readonly value: unknown;
  readonly outer: Frame | undefined;
}

const storage = new AsyncLocalStorage<Frame | undefined>();

/**
 * What an owner knows along an async context, seen by nobody but him. All owners of a process share one AsyncLocalStorage: before Node 24,
 * each one that was ever used makes every promise of the process dearer, also when its application has long been closed.
 */
export class OwnContext<T> {
  get current(): T | undefined {
    for (let frame = storage.getStore(); frame; frame = frame.outer) {
      if (frame.owner === this) return frame.value as T;
    }
    return undefined;
  }

  run<R>(value: T, run: () => R): R {
    return storage.run({ owner: this, value, outer: without(this, storage.getStore()) }, run);
  }
}

/** An owner's later frame hides the earlier one: a context that begins the next one without end must not keep them all. */
function without(owner: object, frame: Frame | undefined): Frame | undefined {
  if (!frame) return undefined;
  const outer = without(owner, frame.outer);
  if (frame.owner === owner) return outer;
  return outer === frame.outer ? frame : { ...frame, outer };
}
