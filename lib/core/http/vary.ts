/** Adds field names to what `Vary` says already; `*` says all. */
export function appendVary(existing: string | undefined, names: readonly string[]): string | undefined {
  const said = (existing ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  if (said.includes('*')) return '*';
  const known = new Set(said.map((name) => name.toLowerCase()));
  const all = [...said];
  for (const name of names) {
    if (known.has(name.toLowerCase())) continue;
    known.add(name.toLowerCase());
    all.push(name);
  }
  return all.length === 0 ? undefined : all.join(', ');
}

/** The cookies of a `Cookie` field by name, as they were sent; more than one of a name is possible. */
export function readCookies(field: string | undefined): ReadonlyMap<string, readonly string[]> {
  const cookies = new Map<string, string[]>();
  for (const pair of (field ?? '').split(';')) {
    const at = pair.indexOf('=');
    const name = (at === -1 ? pair : pair.slice(0, at)).trim();
    if (name === '' && at === -1) continue;
    const value = at === -1 ? '' : pair.slice(at + 1).trim();
    const known = cookies.get(name);
    if (known) known.push(value);
    else cookies.set(name, [value]);
  }
  return cookies;
}
