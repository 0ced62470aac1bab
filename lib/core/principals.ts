/** What a name that is missing becomes in `String(user?.id)` or in a template: one person would be made of all who have none. */
const MISSING = new Set(['undefined', 'null', 'NaN', '[object Object]']);

/** Whether it can name a person. */
export function isPrincipal(given: unknown): given is string {
  return typeof given === 'string' && given.trim() !== '' && !MISSING.has(given);
}

/** What is no principal, in words that tell nothing of anybody. */
export function describePrincipal(given: unknown): string {
  if (given === null) return 'null';
  if (typeof given !== 'string') return `(${typeof given})`;
  if (given === '') return 'an empty text';
  return MISSING.has(given) ? `the text '${given}', which names nobody` : 'a text of white space';
}
