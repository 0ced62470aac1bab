import { crc32 } from 'node:zlib';
import type { DomainPolicies, DomainPolicyConfig } from 'nestjs-cache-guard';
import { AesSealer } from '../../../lib/adapters/encryption.js';
import { HEADER_BYTES } from '../../../lib/core/entry.js';
import { DOMAINS, type Fleet } from './fleet.js';

export const KEYS: Readonly<Record<string, Buffer>> = {
  k1: Buffer.alloc(32, 'first key'),
  k2: Buffer.alloc(32, 'second key'),
};

/** Writes with the first of the keys and reads with all of them. */
export function sealer(namespace: string, ...ids: readonly string[]): AesSealer {
  return new AesSealer(ids[0]!, new Map(ids.map((id) => [id, KEYS[id]!])), namespace);
}

/** A domain of each kind of staleness, encrypted. */
export const SEALED: DomainPolicies = Object.fromEntries(
  Object.entries(DOMAINS).map(([name, policy]) => [name, { ...(policy as DomainPolicyConfig), encrypt: true }]),
);

/** How a process of the fleet is started whose domains are encrypted. */
export const encrypted = (fleet: Fleet, domains: DomainPolicies = SEALED, ...ids: readonly string[]) => ({
  domains,
  sealer: sealer(fleet.namespace, ...(ids.length > 0 ? ids : ['k1'])),
});

/** The name in Redis of the one entry that there is. */
export async function entryName({ raw, namespace }: Fleet): Promise<string> {
  const names = await raw.keys(`${namespace}:e:*`);
  if (names.length !== 1) throw new Error(`${names.length} entries`);
  return names[0]!;
}

/** As somebody would do who knows the format: damage that only encryption can tell. */
export function withChecksum(bytes: Buffer): Buffer {
  const repaired = Buffer.from(bytes);
  if (repaired.length >= HEADER_BYTES) repaired.writeUInt32BE(crc32(repaired.subarray(HEADER_BYTES)), 58);
  return repaired;
}
