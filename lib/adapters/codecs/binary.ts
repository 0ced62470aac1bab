import { createRequire } from 'node:module';
import type { Codec } from '../../core/codec.js';
import { CacheGuardConfigError } from '../../core/errors.js';
import { MAX_DEPTH } from '../../core/shape.js';
import { checkMessagePack } from './message-pack-check.js';
import { fromWire, toWire } from './wire.js';

/** What is used of `msgpackr`. */
interface MessagePack {
  pack(value: unknown): Buffer;
  unpack(bytes: Buffer): unknown;
}

const PLAIN = 0;
const RICH = 1;

/**
 * MessagePack, by the optional package `msgpackr`. A first byte says whether the rest is the value itself (`plain` shapes) or
 * the tagged form of `wire.ts`. Only the basic types of MessagePack are written, and bytes that hold anything else never
 * reach the package: its extensions (records, references, errors …) lose some values and trust their input too much.
 *
 * @throws CacheGuardConfigError (`CG_MISSING_PEER`)
 */
export function binaryCodec(kind: 'plain' | 'rich' = 'rich', require: (name: string) => unknown = hostRequire): Codec {
  const messagePack = load(require);
  const head = Buffer.from([kind === 'plain' ? PLAIN : RICH]);
  return {
    id: 3,
    name: 'binary',
    encode: (value) => Buffer.concat([head, messagePack.pack(kind === 'plain' ? value : toWire(value))]),
    decode(bytes) {
      const mode = bytes[0];
      if (mode !== PLAIN && mode !== RICH) throw new TypeError('not written by this codec');
      const body = bytes.subarray(1);
      // What stands for a scalar in the tagged form is an array, one level deeper.
      checkMessagePack(body, { bytes: mode === RICH, depth: MAX_DEPTH + 1 });
      const value = messagePack.unpack(body);
      return mode === RICH ? fromWire(value) : value;
    },
  };
}

const hostRequire = createRequire(import.meta.url);

function load(require: (name: string) => unknown): MessagePack {
  try {
    const { Packr } = require('msgpackr') as { Packr: new (options: object) => MessagePack };
    return new Packr({ useRecords: false, variableMapSize: true, useToJSON: false });
  } catch (cause) {
    throw new CacheGuardConfigError(
      'CG_MISSING_PEER',
      `The codec 'binary' needs the package 'msgpackr', which could not be loaded; run \`npm install msgpackr\`, ` +
        `or set codec: 'json'.`,
      { field: 'codec', cause },
    );
  }
}
