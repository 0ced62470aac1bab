const CITIES = ['London', 'New York', 'Manchester', 'Zürich', 'Kraków', 'Lisbon'];
const OFFERS = ['Car loan at 3.1 %', 'Free card for your partner', 'Home insurance, 10 % off', 'Exchange without fees'];
const PAYMENTS = ['Coffee and cake', 'Train ticket', 'Bookshop', 'Pharmacy'];
const STATES = {
  fresh: 'fresh',
  stale: 'stale, as promised',
  loaded: 'just loaded',
  uncached: 'just made, not kept',
  refused: 'no value',
};

const byId = (id) => document.getElementById(id);
const euro = new Intl.NumberFormat('en-IE', { style: 'currency', currency: 'EUR' });
const money = (cents) => euro.format(cents / 100);
const clock = (date) => new Date(date).toLocaleTimeString([], { hour12: false });
const pick = (list) => list[Math.floor(Math.random() * list.length)];
const customer = () => byId('customer').value;
const segment = () => byId('customer').selectedOptions[0].dataset.segment;

function element(tag, props = {}, ...children) {
  const made = Object.assign(document.createElement(tag), props);
  made.append(...children);
  return made;
}

const row = (...cells) => element('li', {}, ...cells);
const span = (text, className = '') => element('span', { textContent: text, className });
const button = (textContent, onclick, props = {}) =>
  element('button', { type: 'button', textContent, onclick, ...props });
const seconds = (ms) => (ms < 9_950 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`);
const length = (ms) =>
  ms < 120_000 ? `${ms / 1000} s` : ms < 7_200_000 ? `${ms / 60_000} min` : `${Math.round(ms / 360_000) / 10} h`;

/** The JSON of an answer; an answer that is no success is thrown with the message of the server. */
async function call(method, path, body) {
  const options = body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const response = await fetch(path, { method, cache: 'no-store', ...options });
  const answer = await response.json();
  if (response.ok) return answer;
  throw new Error([answer.message].flat().join(' '));
}

function tell(text, className = '') {
  const log = byId('log');
  log.querySelector('.quiet')?.remove();
  log.prepend(element('li', { className }, element('time', { textContent: clock(Date.now()) }), text));
  while (log.children.length > 30) log.lastElementChild.remove();
}

/** What a button does: says what came of it, and lets every fragment show it at once. */
async function act(pressed, work) {
  pressed.disabled = true;
  try {
    tell(await work());
  } catch (error) {
    tell(`Refused: ${error.message}`, 'bad');
  } finally {
    pressed.disabled = false;
  }
  readAll();
}

const ofCustomer = (what) => () => `/api/customers/${customer()}/${what}`;

const DEFINITIONS = [
  {
    domain: 'balances',
    title: 'Balances',
    path: ofCustomer('balances'),
    show: (balances) => balances.map(({ name, cents }) => row(span(name), span(money(cents), 'number'))),
    actions: {
      'Pay €12.50': () => post(-1250, pick(PAYMENTS)),
      'Receive €100': () => post(10_000, 'Transfer from a friend'),
    },
  },
  {
    domain: 'transactions',
    title: 'Transactions',
    path: ofCustomer('transactions'),
    show: (list) =>
      list.slice(0, 5).map(({ description, cents }) => row(span(description), span(money(cents), 'number'))),
    actions: {},
  },
  {
    domain: 'card-controls',
    title: 'Card controls',
    path: ofCustomer('cards'),
    show: (cards) => cards.map(showCard),
    actions: { 'Back office toggles one': toggleInBackOffice },
    hint: { 'Back office toggles one': 'Writes to the same table and tells no cache; the version probe finds out.' },
  },
  {
    domain: 'offers',
    title: 'Offers',
    path: () => `/api/offers/${segment()}`,
    key: segment,
    show: (offers) => offers.map(({ title, published }) => row(span(title), span(clock(published), 'age'))),
    actions: {
      'Publish an offer': async () => {
        const { title } = await call('POST', '/api/offers', { segment: segment(), title: pick(OFFERS) });
        return `Published to ${segment()}: “${title}”. The next reader still gets the old list, and starts the one refresh.`;
      },
    },
  },
  {
    domain: 'profile',
    title: 'Profile',
    path: ofCustomer('profile'),
    show: ({ name, email, city }) => [
      row(span('Name'), span(name)),
      row(span('E-mail'), span(email)),
      row(span('City'), span(city)),
    ],
    actions: {
      'Move to another city': async (old) => {
        const city = pick(CITIES.filter((other) => other !== old?.city));
        const profile = await call('PATCH', ofCustomer('profile')(), { city });
        return `${profile.name} moved to ${profile.city}; the write is the new cached value.`;
      },
    },
  },
];

async function post(cents, description) {
  const { account } = await call('POST', ofCustomer('transactions')(), {
    account: `${customer()}-current`,
    cents,
    description,
  });
  return `Booked ${money(cents)} on ${account}; balances and transactions were invalidated.`;
}

function showCard({ id, label, blocked }) {
  const press = (event) =>
    act(event.currentTarget, async () => {
      const card = await call('PUT', `${ofCustomer('cards')()}/${id}`, { blocked: !blocked });
      return `${card.label} is ${card.blocked ? 'blocked' : 'free'}; the next read, anywhere, knows.`;
    });
  const name = blocked ? 'Unblock' : 'Block';
  const state = span(blocked ? 'blocked' : 'active', blocked ? 'blocked' : 'age');
  const change = button(name, press);
  change.setAttribute('aria-label', `${name} ${label}`);
  return row(span(label), state, change);
}

async function toggleInBackOffice(cards) {
  const card = cards?.[0];
  if (!card) throw new Error('there is no card to be seen');
  const change = { blocked: !card.blocked, through: 'back-office' };
  await call('PUT', `${ofCustomer('cards')()}/${card.id}`, change);
  return `The back office ${change.blocked ? 'blocked' : 'freed'} ${card.label} and told no cache; the version probe will tell.`;
}

async function sendCrowd({ domain, key = customer }) {
  const { readers, answered, loads, ms } = await call('POST', '/api/crowd', { domain, key: key() });
  const times = loads === 1 ? '1 load' : `${loads} loads`;
  return `${readers} readers of ${domain}, nothing cached: ${times} of the source, ${answered} answered within ${ms} ms.`;
}

/** One card of the page, which reads its own JSON. */
class FragmentView {
  busy = false;
  turn = 0;

  constructor(definition, promise) {
    this.definition = definition;
    this.promise = promise;
    this.pill = span('…', 'pill');
    this.age = span('', 'age');
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
      const fragment = await call('GET', this.definition.path());
      if (turn === this.turn) this.show(fragment);
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

  show({ state, ageMs, value }) {
    this.state(state);
    this.age.textContent = state === 'loaded' ? `took ${seconds(ageMs)}` : `${seconds(ageMs)} old`;
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
byId('source').addEventListener('change', async ({ target }) => {
  await call('PUT', '/api/source', { mode: target.value }).catch((error) => tell(error.message, 'bad'));
  tell(`The source of this instance is ${target.value} now.`);
  readAll();
});

start().catch(() => (byId('offline').hidden = false));
