import { parse, stringify } from 'devalue';
import type { Codec } from '../../core/codec.js';
import { assemble, dismantle, isBytes } from './bytes.js';

/** For values of plain shape. */
export const plainJson: Codec = {
  id: 1,
  name: 'json',
  encode: (value) => Buffer.from(JSON.stringify(value), 'utf8'),
  decode(bytes) {
    const text = bytes.toString('utf8');
    try {
      return MAY_HIDE_PROTO.test(text) ? (JSON.parse(text, refuseProto) as unknown) : (JSON.parse(text) as unknown);
    } catch (error) {
      return unreadable(error);
    }
  },
};

/** Escapes of letters are never written here, but could spell the key for somebody else. */
const MAY_HIDE_PROTO = /__proto__|\\u00[4-7]/;

/** As an own property it harms nobody until the object is copied by assignment, which changes the copy's prototype. */
function refuseProto(key: string, value: unknown): unknown {
  if (key === '__proto__') throw new TypeError('a property named __proto__');
  return value;
}

/** For values of any shape that is kept; a dialect of JSON that stays readable. */
export const richJson: Codec = {
  id: 2,
  name: 'json-rich',
  links: true,
  encode: (value) => Buffer.from(stringify(value, REDUCERS), 'utf8'),
  decode(bytes) {
    try {
      return parse(bytes.toString('utf8'), REVIVERS) as unknown;
    } catch (error) {
      return unreadable(error);
    }
  },
};

/** What parsers throw quotes the text, which is somebody's value. */
function unreadable(error: unknown): never {
  throw error instanceof TypeError ? error : new TypeError('not written by this codec');
}

const REDUCERS = {
  // In place of devalue's own way, which makes Uint8Array of a Buffer and writes the whole buffer that a view is part of.
  Bytes(value: unknown): string | undefined {
    if (!isBytes(value)) return undefined;
    const { type, bytes } = dismantle(value);
    return `${type}:${bytes.toString('base64')}`;
  },
};

const REVIVERS = {
  Bytes(text: unknown): unknown {
    if (typeof text !== 'string') throw new TypeError('bytes that are no text');
    const colon = text.indexOf(':');
    return assemble(text.slice(0, colon), Buffer.from(text.slice(colon + 1), 'base64'));
  },
};
