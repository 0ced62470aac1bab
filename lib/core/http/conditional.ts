import { createHash } from 'node:crypto';

/** A strong validator of exactly these bytes. */
export function strongETag(body: string | Uint8Array): string {
  return `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"`;
}

/** RFC 9110, 8.8.3: `etagc` has neither blanks nor quotes. */
const ENTITY_TAG = /^(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"/;

/**
 * Whether what the client has is what it would be sent: `If-None-Match` by weak comparison (RFC 9110, 13.1.2). A field that does not
 * follow the grammar is ignored as a whole.
 *
 * @param etag of the answer; `undefined`: it has none, and only `*` matches
 */
export function isNotModified(ifNoneMatch: string | undefined, etag: string | undefined): boolean {
  if (ifNoneMatch === undefined) return false;
  if (ifNoneMatch.trim() === '*') return true;
  const tags = parseTags(ifNoneMatch);
  return etag !== undefined && tags !== undefined && tags.some((tag) => opaque(tag) === opaque(etag));
}

function opaque(etag: string): string {
  return etag.startsWith('W/') ? etag.slice(2) : etag;
}

/** A list by RFC 9110, 5.6.1: empty members do not count. `undefined`: it is none. Not split at commas, which a tag may contain. */
function parseTags(field: string): string[] | undefined {
  const tags: string[] = [];
  let rest = field.trim();
  while (rest !== '') {
    const tag = ENTITY_TAG.exec(rest)?.[0];
    if (tag !== undefined) tags.push(tag);
    rest = rest.slice(tag?.length ?? 0).trimStart();
    if (rest === '') break;
    if (!rest.startsWith(',')) return undefined;
    rest = rest.slice(1).trimStart();
  }
  return tags.length > 0 ? tags : undefined;
}
