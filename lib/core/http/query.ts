/** Longer ones are no query that a client of the application makes. */
export const MAX_QUERY = 8_192;
/** Of one query or path parameter, header or cookie that is part of a key; characters. */
export const MAX_TEXT = 1_024;

export type ReadQuery =
  { readonly values: Readonly<Record<string, string>> } | { readonly refusal: 'query' | 'too-long' };

/**
 * The query of a request, where it is one that a key can be made from: every name declared, and given once. The order of names does not
 * count.
 *
 * @param target of the request line, with its query
 * @param parsed what the framework has made of it: what the handler sees must be what the key is made from
 * @param declared names
 */
export function readQuery(target: string, parsed: unknown, declared: ReadonlySet<string>): ReadQuery {
  const at = target.indexOf('?');
  const text = at === -1 ? '' : target.slice(at + 1);
  if (text.length > MAX_QUERY) return { refusal: 'too-long' };
  const names = new Set<string>();
  for (const name of new URLSearchParams(text).keys()) {
    if (!declared.has(name) || names.has(name)) return { refusal: 'query' };
    names.add(name);
  }
  const seen = Object.entries((parsed ?? {}) as Record<string, unknown>);
  const values: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [name, value] of seen) {
    // Another parser's reading of the same text, such as a list or a nested object.
    if (!names.has(name) || typeof value !== 'string') return { refusal: 'query' };
    if (value.length > MAX_TEXT) return { refusal: 'too-long' };
    values[name] = value;
  }
  return seen.length === names.size ? { values } : { refusal: 'query' };
}
