export const byId = (id) => document.getElementById(id);
export const euro = new Intl.NumberFormat('en-IE', { style: 'currency', currency: 'EUR' });
export const money = (cents) => euro.format(cents / 100);
export const clock = (date) => new Date(date).toLocaleTimeString([], { hour12: false });
export const pick = (list) => list[Math.floor(Math.random() * list.length)];
export const customer = () => byId('customer').value;
export const segment = () => byId('customer').selectedOptions[0].dataset.segment;

export function element(tag, props = {}, ...children) {
  const made = Object.assign(document.createElement(tag), props);
  made.append(...children);
  return made;
}

export const row = (...cells) => element('li', {}, ...cells);
export const span = (text, className = '') => element('span', { textContent: text, className });
export const button = (textContent, onclick, props = {}) =>
  element('button', { type: 'button', textContent, onclick, ...props });
export const seconds = (ms) => (ms < 9_950 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`);

/** A duration of a policy, with one digit at most after the point. */
export function length(ms) {
  const [size, unit] = [
    [3_600_000, 'h'],
    [60_000, 'min'],
    [1_000, 's'],
  ].find(([least]) => ms >= least) ?? [1, 'ms'];
  return `${Math.round((10 * ms) / size) / 10} ${unit}`;
}

/** The JSON of an answer; an answer that is no success is thrown with the message of the server. */
export async function call(method, path, body) {
  const options = body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  return answerOf(await fetch(path, { method, cache: 'no-store', ...options }));
}

async function answerOf(response) {
  const answer = await response.json();
  if (response.ok) return answer;
  throw new Error([answer.message].flat().join(' '));
}

/** @param heard is given the headers in which the cache tells what it did, also of an answer that is thrown */
export async function read(path, heard) {
  const response = await fetch(path, { cache: 'no-store' });
  const header = (name) => response.headers.get(name) ?? '';
  heard({ status: header('cache-status'), age: header('age') });
  return { state: stateOf(header('cache-status')), ageMs: 1000 * header('age'), value: await answerOf(response) };
}

/** What `Cache-Status` (RFC 9211) says, in one word. */
function stateOf(status) {
  if (/; hit\b/.test(status)) return /; ttl=-/.test(status) ? 'stale' : 'fresh';
  return /; (stored|collapsed)\b/.test(status) ? 'loaded' : 'uncached';
}

export function tell(text, className = '') {
  const log = byId('log');
  log.querySelector('.quiet')?.remove();
  log.prepend(element('li', { className }, element('time', { textContent: clock(Date.now()) }), text));
  while (log.children.length > 30) log.lastElementChild.remove();
}

/** What a button does: says what came of it, and lets every fragment show it at once. */
export async function act(pressed, work) {
  pressed.disabled = true;
  try {
    tell(await work());
  } catch (error) {
    tell(`Refused: ${error.message}`, 'bad');
  } finally {
    pressed.disabled = false;
  }
  document.dispatchEvent(new Event('changed'));
}
