import { createHmac, type KeyObject } from 'node:crypto';

/** What a part of a key is; equal texts in different places look different. */
export type KeyRole = 'key' | 'partition' | 'principal' | 'tag';

/** Puts in the place of a segment what says nothing about it to whoever has not the secret. */
export type HideSegment = (segment: string, role: KeyRole) => string;

/** Keyed, because plain hashes of e-mail addresses and account numbers are found by trying them all. */
export function keyedHiding(secret: KeyObject, domain: string): HideSegment {
  // Neither a role nor a domain has a colon.
  return (segment, role) =>
    `m.${createHmac('sha256', secret).update(`${role}:${domain}:${segment}`).digest('base64url')}`;
}
