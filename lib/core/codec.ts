/**
 * Turns values into bytes and back. An implementation either gives back an equal value or throws: it never loses a part in
 * silence. It is given values without class instances only. `decode` must be safe for bytes that somebody else wrote, and
 * gives a new value each time: plain ones are frozen.
 */
export interface Codec {
  /** Stored with each entry; 1 to 63 are this library's, 64 to 255 are yours. */
  readonly id: number;
  readonly name: string;
  /**
   * `true`: its bytes can name an object in several places, and within itself. What is read is then walked once, and refused where it would
   * not have been kept.
   */
  readonly links?: boolean;
  encode(value: unknown): Buffer;
  decode(bytes: Buffer): unknown;
}

/** The codecs that a policy can name, and those that entries can have been written with. */
export interface CodecSet {
  /** @throws CacheGuardConfigError (`CG_MISSING_PEER`) for a codec whose package is not installed */
  forEncoding(codec: 'json' | 'binary' | Codec, kind: 'plain' | 'rich'): Codec;
  /**
   * @param own the reader's own codec, if its policy has one
   * @throws CacheGuardConfigError (`CG_MISSING_PEER`)
   */
  byId(id: number, own: Codec | undefined): Codec | undefined;
}
