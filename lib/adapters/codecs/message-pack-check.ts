interface Limits {
  /** Whether byte strings may occur. */
  readonly bytes: boolean;
  readonly depth: number;
}

interface Container {
  readonly isMap: boolean;
  /** Keys count as items. */
  remaining: number;
}

/**
 * Refuses bytes that are not exactly one MessagePack value of the types null, boolean, number, text, array, map with text
 * keys and, if allowed, byte string. So what decodes them afterwards needs no trust: every length is covered by bytes that are
 * there, nesting is bounded, and there is no extension.
 *
 * @throws TypeError
 */
export function checkMessagePack(bytes: Buffer, limits: Limits): void {
  const open: Container[] = [];
  let at = 0;

  const unsigned = (width: number): number => {
    if (at + width > bytes.length) throw new TypeError('cut off');
    at += width;
    return bytes.readUIntBE(at - width, width);
  };
  // Beyond the end is noticed by the next read, or at the end.
  const skip = (length: number): void => {
    at += length;
  };
  const enter = (isMap: boolean, size: number): void => {
    if (open.length >= limits.depth) throw new TypeError('nested too deeply');
    open.push({ isMap, remaining: isMap ? size * 2 : size });
  };

  do {
    const container = open.at(-1);
    const isKey = container !== undefined && container.isMap && container.remaining % 2 === 0;
    if (container) container.remaining--;

    const token = unsigned(1);
    const textWidth = token === 0xd9 ? 1 : token === 0xda ? 2 : token === 0xdb ? 4 : 0;
    if (textWidth > 0 || (token >= 0xa0 && token < 0xc0)) {
      const length = textWidth > 0 ? unsigned(textWidth) : token - 0xa0;
      skip(length);
      if (isKey && bytes.toString('latin1', at - length, at) === '__proto__') {
        throw new TypeError('a key named __proto__');
      }
    } else if (isKey) {
      throw new TypeError('a key that is no text');
    } else if (token >= 0x80 && token < 0x90) enter(true, token - 0x80);
    else if (token >= 0x90 && token < 0xa0) enter(false, token - 0x90);
    else if (token === 0xdc || token === 0xdd) enter(false, unsigned(token === 0xdc ? 2 : 4));
    else if (token === 0xde || token === 0xdf) enter(true, unsigned(token === 0xde ? 2 : 4));
    else if (token >= 0xc4 && token <= 0xc6 && limits.bytes) skip(unsigned(2 ** (token - 0xc4)));
    else {
      const width = SCALARS.get(token);
      if (width === undefined && token > 0x7f && token < 0xe0) throw new TypeError('a type that is never written');
      skip(width ?? 0);
    }
    while (open.at(-1)?.remaining === 0) open.pop();
  } while (open.length > 0);
  if (at !== bytes.length) throw new TypeError('the value does not end where the bytes do');
}

/** Tokens that are followed by so many bytes: null, booleans, double, unsigned and signed integers up to 32 bits. */
const SCALARS: ReadonlyMap<number, number> = new Map([
  [0xc0, 0],
  [0xc2, 0],
  [0xc3, 0],
  [0xcb, 8],
  [0xcc, 1],
  [0xcd, 2],
  [0xce, 4],
  [0xd0, 1],
  [0xd1, 2],
  [0xd2, 4],
]);
