import { CacheGuardConfigError } from '../core/errors.js';
import type { InvalidationMode } from '../core/events.js';
import type { GenerationName } from '../core/generations.js';
import type { EntryKey } from '../core/keys.js';
import type {
  AcquireRequest,
  BeatRequest,
  CommitRequest,
  KnownVersion,
  ReleaseRequest,
  Signal,
  Store,
} from '../core/store.js';

/** A store that may turn out to be one that this library cannot work with. */
export interface RefusableStore extends Store {
  /** Why; known after `open()` if the server answered by then. The message names what was found and what is needed. */
  refusal(): Error | undefined;
}

export interface EmbeddedFallbackOptions {
  readonly remote: RefusableStore;
  /** Makes the store that takes its place. */
  readonly embedded: () => Store;
  /** Whether to fail the boot instead. */
  readonly refuse: boolean;
}

/** A remote store, or the embedded one in its place if the server turns out at boot to be too old. */
export class EmbeddedFallback implements Store {
  private current: Store;
  private readonly listeners: ((signal: Signal) => void)[] = [];
  /** What was signalled before it was decided which store it is; `undefined` from then on. */
  private held: Signal[] | undefined = [];
  private opening: Promise<void> | undefined;
  private closed = false;

  constructor(private readonly options: EmbeddedFallbackOptions) {
    this.current = options.remote;
    this.listenTo(options.remote);
  }

  get remote(): boolean {
    return this.current.remote;
  }

  /** @throws CacheGuardConfigError (`CG_UNSUPPORTED_REDIS`) when the server is too old and that is to be refused */
  open(): Promise<void> {
    this.opening ??= this.choose();
    return this.opening;
  }

  now(key: EntryKey) {
    return this.current.now(key);
  }

  read(key: EntryKey, generations: readonly GenerationName[]) {
    return this.current.read(key, generations);
  }

  acquire(request: AcquireRequest) {
    return this.current.acquire(request);
  }

  renew(key: EntryKey, token: string, leaseMs: number) {
    return this.current.renew(key, token, leaseMs);
  }

  lease(key: EntryKey) {
    return this.current.lease(key);
  }

  commit(request: CommitRequest) {
    return this.current.commit(request);
  }

  release(request: ReleaseRequest) {
    return this.current.release(request);
  }

  get records() {
    return this.current.records;
  }

  get board() {
    return this.current.board;
  }

  walk(domain: string, batch: number) {
    return this.current.walk(domain, batch);
  }

  get ledger() {
    return this.current.ledger;
  }

  invalidate(key: EntryKey, mode: InvalidationMode, known?: KnownVersion) {
    return this.current.invalidate(key, mode, known);
  }

  advance(generation: GenerationName, mode: InvalidationMode, ttlMs: number) {
    return this.current.advance(generation, mode, ttlMs);
  }

  sweep(domain: string, doomed: (bytes: Buffer) => boolean) {
    return this.current.sweep(domain, doomed);
  }

  beat(request: BeatRequest) {
    return this.current.beat(request);
  }

  onSignal(listener: (signal: Signal) => void): void {
    this.listeners.push(listener);
  }

  async close(): Promise<void> {
    this.closed = true;
    this.listeners.length = 0;
    await this.current.close();
  }

  private async choose(): Promise<void> {
    const { remote, refuse } = this.options;
    await remote.open();
    const refusal = this.closed ? undefined : remote.refusal();
    if (!refusal) {
      this.letThrough();
    } else if (refuse) {
      await remote.close();
      throw unsupported(refusal);
    } else {
      await this.embed(refusal);
    }
  }

  private async embed(refusal: Error): Promise<void> {
    const { remote, embedded } = this.options;
    const store = embedded();
    this.current = store;
    // What the other one had to say concerns nobody any more.
    this.held = [];
    this.listenTo(store);
    await store.open();
    await remote.close();
    if (this.closed) return store.close();
    this.letThrough();
    this.tell({
      kind: 'advice',
      code: 'unsupported-version',
      text:
        `${refusal.message} The embedded memory store takes its place until the next start: values, leases and invalidations are those of ` +
        "this process, and nothing reaches it from others. Upgrade the server, or set unsupportedRedis: 'refuse' to fail the boot instead.",
    });
  }

  private letThrough(): void {
    const held = this.held ?? [];
    this.held = undefined;
    for (const signal of held) this.tell(signal);
  }

  private listenTo(store: Store): void {
    store.onSignal((signal) => {
      if (store !== this.current) return;
      if (this.held) this.held.push(signal);
      else this.tell(signal);
    });
  }

  private tell(signal: Signal): void {
    for (const listener of this.listeners) listener(signal);
  }
}

function unsupported(refusal: Error): CacheGuardConfigError {
  return new CacheGuardConfigError(
    'CG_UNSUPPORTED_REDIS',
    `CacheGuardModule: ${refusal.message} unsupportedRedis = 'refuse' does not start with it; upgrade the server, or set ` +
      "unsupportedRedis: 'embedded' to start with the memory store of this process.",
    { field: 'unsupportedRedis', cause: refusal },
  );
}
