import type { LoadContext } from 'nestjs-cache-guard';

/** One call of a loader, ended by the test. */
export interface SourceCall<T> {
  readonly context: LoadContext<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

/** A data source whose loads end when the test says so. */
export class Source<T = unknown> {
  readonly calls: SourceCall<T>[] = [];
  private readonly awaited: { readonly count: number; readonly resolve: (call: SourceCall<T>) => void }[] = [];

  readonly load = (context: LoadContext<T>): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      this.calls.push({ context, resolve, reject });
      for (const one of this.awaited) if (one.count === this.calls.length) one.resolve(this.calls.at(-1)!);
    });

  /** The call of this number, from 1, as soon as it has come. */
  call(count: number): Promise<SourceCall<T>> {
    const call = this.calls[count - 1];
    return call ? Promise.resolve(call) : new Promise((resolve) => this.awaited.push({ count, resolve }));
  }

  /** Ends what the test left open, so that nothing waits for it. */
  end(): void {
    for (const call of this.calls) call.resolve(undefined as T);
  }
}

/** A loader that answers at once, and how often it was called. */
export interface Counted<T> {
  (context: LoadContext<T>): Promise<T>;
  calls: number;
}

export function counted<T>(answer: (context: LoadContext<T>, call: number) => T | Promise<T>): Counted<T> {
  const load = async (context: LoadContext<T>): Promise<T> => answer(context, ++load.calls);
  load.calls = 0;
  return load;
}

/** Something to wait for that the test itself brings about. */
export function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open: () => open() };
}
