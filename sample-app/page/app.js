// Reads the fragments every second and shows them.
import { readEvents } from './events.js';
import { DEFINITIONS, ofCustomer, sendCrowd } from './fragments.js';
import { act, button, byId, call, element, length, money, read, seconds, span, tell } from './helpers.js';

const STATES = {
  fresh: 'fresh',
  stale: 'stale, as promised',
  loaded: 'just loaded',
  uncached: 'just made, not kept',
  refused: 'no value',
};

/** One card of the page, which reads its own JSON. */
class FragmentView {
  busy = false;
  turn = 0;

  constructor(definition, promise) {
    this.definition = definition;
    this.promise = promise;
    this.pill = span('…', 'pill');
    this.age = span('', 'age');
    this.headers = { status: element('dd'), age: element('dd') };
    this.fill = element('i');
    this.content = element('ul', { className: 'content' });
    const bar = element('div', { className: promise.hardTtlMs > promise.softTtlMs ? 'bar two' : 'bar' }, this.fill);
    bar.setAttribute('aria-hidden', 'true');
    const title = element('h2', { textContent: definition.title, id: `title-${definition.domain}` });
    this.node = element(
      'article',
      { className: 'card' },
      element('header', {}, title, span(promise.freshness, `class ${promise.freshness}`)),
      element('div', {}, element('div', { className: 'state' }, this.pill, this.age), bar),
      this.content,
      this.heard(),
      element('div', { className: 'actions' }, ...this.buttons()),
      this.described(),
    );
    this.node.setAttribute('aria-labelledby', title.id);
  }

  buttons() {
    const { actions, hint = {} } = this.definition;
    const writes = Object.entries(actions).map(([label, work]) =>
      button(label, (event) => act(event.currentTarget, () => work(this.value)), {
        className: 'main',
        title: hint[label] ?? '',
      }),
    );
    const crowd = button('Crowd of 200', (event) => act(event.currentTarget, () => sendCrowd(this.definition)), {
      title: 'Takes the value out of the cache and sends 200 readers for it',
    });
    return [...writes, crowd];
  }

  /** What the last answer said of the cache. */
  heard() {
    const { status, age } = this.headers;
    const names = ['Cache-Status', 'Age'].map((textContent) => element('dt', { textContent }));
    return element('dl', { className: 'promise headers' }, names[0], status, names[1], age);
  }

  described() {
    const { softTtlMs, hardTtlMs, stale, owner, because } = this.promise;
    const facts = {
      Fresh: length(softTtlMs),
      Stale: stale,
      'At most': length(hardTtlMs),
      Owner: owner,
      Because: because,
    };
    const pairs = Object.entries(facts).flatMap(([name, fact]) => [
      element('dt', { textContent: name }),
      element('dd', { textContent: fact ?? '—' }),
    ]);
    return element('dl', { className: 'promise' }, ...pairs);
  }

  async read() {
    if (this.busy) return;
    this.busy = true;
    const turn = ++this.turn;
    const slow = setTimeout(() => (this.age.textContent = 'loading …'), 120);
    try {
      const began = performance.now();
      const fragment = await read(this.definition.path(), (headers) => turn === this.turn && this.hear(headers));
      if (turn === this.turn) this.show({ ...fragment, tookMs: performance.now() - began });
    } catch (error) {
      if (turn === this.turn) this.refuse(error);
    } finally {
      clearTimeout(slow);
      if (turn === this.turn) this.busy = false;
    }
  }

  /** Another customer: what is under way is not wanted any more. */
  restart() {
    this.turn++;
    this.busy = false;
    this.shown = undefined;
    void this.read();
  }

  hear({ status, age }) {
    this.headers.status.textContent = status;
    this.headers.age.textContent = age === '' ? '—' : age;
  }

  show({ state, ageMs, tookMs, value }) {
    this.state(state);
    this.age.textContent = state === 'loaded' ? `took ${seconds(tookMs)}` : `${Math.round(ageMs / 1000)} s old`;
    this.fill.style.setProperty('--to', `${this.position(ageMs)}%`);
    this.value = value;
    const text = JSON.stringify(value);
    // What has not changed stays, and keeps the focus.
    if (text !== this.shown) this.content.replaceChildren(...this.definition.show(value));
    this.shown = text;
    this.content.classList.remove('old');
  }

  refuse(error) {
    this.state('refused');
    this.age.textContent = '';
    this.fill.style.setProperty('--to', '0%');
    this.shown = undefined;
    this.content.replaceChildren(element('li', { className: 'quiet', textContent: error.message }));
    if (this.promise.stale.startsWith('never'))
      this.content.append(element('li', { className: 'quiet', textContent: 'An old value would break the promise.' }));
  }

  state(state) {
    this.node.classList.remove(...Object.keys(STATES));
    this.node.classList.add(state);
    this.pill.textContent = STATES[state];
  }

  /** Freshness has the first half of the bar, permitted staleness the second. */
  position(ageMs) {
    const { softTtlMs, hardTtlMs } = this.promise;
    if (hardTtlMs <= softTtlMs) return Math.min(100, (100 * ageMs) / softTtlMs);
    if (ageMs <= softTtlMs) return (50 * ageMs) / softTtlMs;
    return Math.min(100, 50 + (50 * (ageMs - softTtlMs)) / (hardTtlMs - softTtlMs));
  }
}

/** The value that is composed from the others. */
class SummaryView extends FragmentView {
  constructor(promise) {
    super({ domain: 'dashboard', title: 'Summary', path: ofCustomer('summary'), actions: {} }, promise);
    const text = `Summary (${promise.freshness}), made of profile, offers and balances. ${promise.because}`;
    this.main = element('div');
    this.node = element(
      'div',
      { className: 'summary' },
      this.main,
      element(
        'div',
        { className: 'how' },
        element('div', { className: 'state' }, this.pill, this.age),
        element('p', { className: 'quiet', textContent: text }),
        this.heard(),
      ),
    );
  }

  show({ state, value: { greeting, totalCents, offer } }) {
    this.state(state);
    this.age.textContent = '';
    this.main.replaceChildren(
      element('p', { textContent: greeting }),
      element('p', { className: 'total number', textContent: money(totalCents) }),
      element('p', { className: 'quiet', textContent: offer ?? 'no offer today' }),
    );
  }

  refuse(error) {
    this.state('refused');
    this.age.textContent = '';
    this.main.replaceChildren(
      element('p', { className: 'total', textContent: '—' }),
      element('p', { className: 'quiet', textContent: error.message }),
    );
  }
}

function showStatus({ instance, store, database, source, counters }) {
  for (const [id, text] of Object.entries({ instance, store, database })) byId(id).textContent = text;
  for (const input of document.querySelectorAll('input[name=mode]')) input.checked = input.value === source.mode;
  const rows = counters.map((counted) => {
    const { domain, hits, stale, misses, coalesced, loads, originLoads, amplification } = counted;
    const factor = amplification === null ? '—' : amplification.toFixed(2);
    const cells = [hits, stale, misses, coalesced, loads, originLoads, factor];
    return element(
      'tr',
      {},
      element('th', { scope: 'row', textContent: domain }),
      ...cells.map((cell) => element('td', { textContent: String(cell) })),
    );
  });
  byId('counters').replaceChildren(...rows);
}

async function readStatus() {
  try {
    showStatus(await call('GET', '/api/status'));
    byId('offline').hidden = true;
  } catch {
    byId('offline').hidden = false;
  }
}

let views = [];

function readAll() {
  for (const view of views) void view.read();
  void readStatus();
  // Whether the instance answers at all is what the status says.
  readEvents().catch(() => {});
}

async function setSource(mode) {
  try {
    await call('PUT', '/api/source', { mode });
    tell(`The source of this instance is ${mode} now.`);
  } catch (error) {
    tell(error.message, 'bad');
  }
  readAll();
}

async function start() {
  const promises = Object.fromEntries((await call('GET', '/api/promises')).map((promise) => [promise.domain, promise]));
  const summary = new SummaryView(promises.dashboard);
  const fragments = DEFINITIONS.map((definition) => new FragmentView(definition, promises[definition.domain]));
  byId('summary').replaceWith(summary.node);
  byId('fragments').prepend(...fragments.map(({ node }) => node));
  views = [summary, ...fragments];
  readAll();
  setInterval(() => byId('live').checked && !document.hidden && readAll(), 1_000);
}

byId('customer').addEventListener('change', () => views.forEach((view) => view.restart()));
document.addEventListener('changed', readAll);
byId('source').addEventListener('change', ({ target }) => void setSource(target.value));

start().catch(() => (byId('offline').hidden = false));
