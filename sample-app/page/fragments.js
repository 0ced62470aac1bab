// What each fragment shows and what its buttons do.
import { act, button, call, clock, customer, money, pick, row, segment, span } from './helpers.js';

const CITIES = ['London', 'New York', 'Manchester', 'Zürich', 'Kraków', 'Lisbon'];
const OFFERS = ['Car loan at 3.1 %', 'Free card for your partner', 'Home insurance, 10 % off', 'Exchange without fees'];
const PAYMENTS = ['Coffee and cake', 'Train ticket', 'Bookshop', 'Pharmacy'];

export const ofCustomer = (what) => () => `/api/customers/${customer()}/${what}`;

export const DEFINITIONS = [
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
        return `Published to ${segment()}: “${title}”. Its event has the list loaded again, once; until then readers get the old one.`;
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
      return `${card.label} is ${card.blocked ? 'blocked' : 'free'}; the next read, anywhere, knows, and an event was sent.`;
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

export async function sendCrowd({ domain, key = customer }) {
  const { readers, answered, loads, ms } = await call('POST', '/api/crowd', { domain, key: key() });
  const times = loads === 1 ? '1 load' : `${loads} loads`;
  return `${readers} readers of ${domain}, nothing cached: ${times} of the source, ${answered} answered within ${ms} ms.`;
}
