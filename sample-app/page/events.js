// The way of an update from the write to the fragment, as far as the source remembers it.
import { byId, call, clock, element, row, seconds, span } from './helpers.js';

const TITLES = {
  'bank.offer.published': 'offer published',
  'bank.card-controls.changed': 'card controls changed',
};
const lag = (ms) => (ms < 1_000 ? `${Math.round(ms)} ms` : seconds(ms));

export async function readEvents() {
  const { outbox, events, reconciliation } = await call('GET', '/api/events');
  const waiting =
    outbox.waiting === 0 ? 'nothing waits' : `${outbox.waiting} wait, the oldest ${seconds(outbox.oldestMs)}`;
  byId('outbox').textContent = outbox.dead === 0 ? waiting : `${waiting}, ${outbox.dead} set aside`;
  byId('reconciliation').textContent = reconciliation
    ? described(reconciliation)
    : 'none yet; the first follows within 30 s';
  const rows = events.map(({ type, subject, outcome, instance, handled, lagMs }) =>
    row(
      element('time', { textContent: clock(handled) }),
      span(`${TITLES[type] ?? type}${subject ? `, ${subject}` : ''}`),
      span(`${outcome} by ${instance}`, 'age'),
      span(lag(lagMs), 'number'),
    ),
  );
  if (rows.length === 0)
    rows.push(element('li', { className: 'quiet', textContent: 'Publish an offer or block a card.' }));
  byId('events').replaceChildren(...rows);
}

function described({ domain, state, checked, drifted, repaired, endedAt }) {
  const found = `${checked} checked, ${drifted} drifted, ${repaired} repaired`;
  return `${domain}, ${clock(endedAt)}: ${state}, ${found}`;
}
