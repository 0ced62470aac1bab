import { createCipheriv, createDecipheriv, createSecretKey, randomBytes, type KeyObject } from 'node:crypto';
import type { Sealer } from '../core/sealing.js';

const ALGORITHM = 'aes-256-gcm';
export const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** AES-256-GCM. What it makes: length of the key's id, the id, nonce, tag, ciphertext; the id says which key opens it again. */
export class AesSealer implements Sealer {
  /** As objects that show nothing of themselves, and private: the sealer is part of what may be inspected or logged. */
  readonly #keys: ReadonlyMap<string, KeyObject>;
  readonly #current: string;
  readonly #context: Buffer;

  /**
   * @param current id of the key that seals; one of `keys`
   * @param keys 32 bytes each, by ids of at most 255 bytes
   * @param context what is sealed in one is not opened in another
   */
  constructor(current: string, keys: ReadonlyMap<string, Uint8Array>, context: string) {
    this.#keys = new Map(Array.from(keys, ([id, bytes]) => [id, createSecretKey(bytes)]));
    this.#current = current;
    this.#context = Buffer.from(`${context}:`, 'utf8');
  }

  seal(plain: Buffer, bound: Buffer): Buffer {
    const id = Buffer.from(this.#current, 'utf8');
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, this.#keys.get(this.#current)!, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(Buffer.concat([this.#context, bound]));
    const text = [cipher.update(plain), cipher.final()];
    return Buffer.concat([Buffer.from([id.length]), id, nonce, cipher.getAuthTag(), ...text]);
  }

  open(sealed: Buffer, bound: Buffer): Buffer {
    const idEnd = 1 + (sealed[0] ?? 0);
    const tagAt = idEnd + NONCE_BYTES;
    const textAt = tagAt + TAG_BYTES;
    if (sealed.length < textAt) throw new Error('encrypted, and cut off');
    const id = sealed.toString('utf8', 1, idEnd);
    const key = this.#keys.get(id);
    // Whoever wrote it may have written anything.
    if (!key)
      throw new Error(`encrypted with a key that is not known here${/^[\w.-]{1,32}$/.test(id) ? `: '${id}'` : ''}`);
    const decipher = createDecipheriv(ALGORITHM, key, sealed.subarray(idEnd, tagAt), { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.concat([this.#context, bound]));
    decipher.setAuthTag(sealed.subarray(tagAt, textAt));
    const plain = decipher.update(sealed.subarray(textAt));
    try {
      decipher.final();
    } catch {
      throw new Error(`not what was encrypted here with key '${id}'`);
    }
    return plain;
  }
}
