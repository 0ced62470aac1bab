/** Which requests or messages a fault applies to: those whose bytes contain the text, or for which the function says yes. */
export type RequestMatch = string | ((request: Buffer) => boolean);

/** A fault that waits for its request. */
export interface Fault {
  /** Resolves when the fault has struck (for the first time): the reply was swallowed, or the message is being held. */
  readonly struck: Promise<void>;
  /** How often it has struck. */
  readonly count: number;
  /** Takes the fault away; whatever it holds goes on its way. */
  release(): void;
}

export type FaultKind = 'lose-reply' | 'hold-reply' | 'hold-request' | 'lose-message' | 'hold-message';

export class ArmedFault implements Fault {
  readonly struck: Promise<void>;
  readonly released: Promise<void>;
  count = 0;
  active = true;
  private markStruck!: () => void;
  private markReleased!: () => void;

  constructor(
    readonly kind: FaultKind,
    private readonly match: RequestMatch,
    private times: number,
  ) {
    this.struck = new Promise((resolve) => (this.markStruck = resolve));
    this.released = new Promise((resolve) => (this.markReleased = resolve));
  }

  /** Claims the request for this fault; each claim uses up one of `times`. */
  claims(request: Buffer): boolean {
    if (!this.active || this.times <= 0) return false;
    if (!(typeof this.match === 'string' ? request.includes(this.match) : this.match(request))) return false;
    this.times -= 1;
    return true;
  }

  strike(): void {
    this.count += 1;
    this.markStruck();
  }

  release(): void {
    this.active = false;
    this.markReleased();
  }
}
