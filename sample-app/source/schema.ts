import { bankOutbox } from '../events/bank-outbox.js';
import type { Database } from './database.js';

/** Creates and fills what is missing; several instances may do it at once, hence the lock. */
const SCRIPT = `
select pg_advisory_xact_lock(20260131);
create schema if not exists bank_dashboard;
set local search_path to bank_dashboard;

create table if not exists identity (id text not null);
create table if not exists offers (
  id serial primary key, segment text not null, title text not null, published timestamptz not null default now());
create table if not exists segments (segment text primary key, revision int not null default 1);
create table if not exists customers (
  id text primary key, name text not null, email text not null, city text not null, segment text not null);
create table if not exists accounts (
  id text primary key, customer_id text not null references customers, name text not null, cents bigint not null);
create table if not exists transactions (
  id serial primary key, account_id text not null references accounts, description text not null, cents bigint not null,
  at timestamptz not null default now());
create table if not exists cards (
  id text primary key, customer_id text not null references customers, label text not null, blocked boolean not null default false,
  version int not null default 1);
create table if not exists handled_events (
  position bigint generated always as identity primary key, id text not null, type text not null, subject text,
  outcome text not null, instance text not null, handled timestamptz not null, lag_ms float8 not null);
${bankOutbox.schema().join(';\n')};

insert into offers (segment, title)
select * from (values
  ('gold', 'Travel insurance, first year free'), ('gold', '2.9 % on your savings until June'),
  ('student', 'No fees until you graduate'), ('student', 'Cinema on Tuesdays, two for one')) as seed
where not exists (select 1 from offers);

insert into segments (segment) select distinct segment from offers on conflict do nothing;

insert into customers values
  ('ada', 'Ada Lovelace', 'ada@example.com', 'London', 'gold'),
  ('grace', 'Grace Hopper', 'grace@example.com', 'New York', 'gold'),
  ('alan', 'Alan Turing', 'alan@example.com', 'Manchester', 'student')
on conflict do nothing;

insert into accounts values
  ('ada-current', 'ada', 'Current account', 245000), ('ada-savings', 'ada', 'Savings', 1820050),
  ('grace-current', 'grace', 'Current account', 512075), ('grace-savings', 'grace', 'Savings', 90000),
  ('alan-current', 'alan', 'Current account', 31245), ('alan-savings', 'alan', 'Savings', 150000)
on conflict do nothing;

insert into transactions (account_id, description, cents, at)
select account_id, description, cents, now() - age from (values
  ('ada-current', 'Analytical Engines Ltd, salary', 420000, interval '3 days'),
  ('ada-current', 'Rent', -145000, interval '2 days'),
  ('ada-current', 'Green grocer', -2350, interval '5 hours'),
  ('grace-current', 'Navy pension', 310000, interval '4 days'),
  ('grace-current', 'Clock repair', -8900, interval '1 day'),
  ('alan-current', 'Scholarship', 90000, interval '6 days'),
  ('alan-current', 'Running shoes', -11990, interval '9 hours')) as seed (account_id, description, cents, age)
where not exists (select 1 from transactions);

insert into cards (id, customer_id, label) values
  ('ada-debit', 'ada', 'Debit ·· 4711'), ('ada-credit', 'ada', 'Credit ·· 1815'),
  ('grace-debit', 'grace', 'Debit ·· 1906'), ('grace-credit', 'grace', 'Credit ·· 1944'),
  ('alan-debit', 'alan', 'Debit ·· 1912')
on conflict do nothing;

insert into identity select substr(md5(random()::text || clock_timestamp()::text), 1, 12)
where not exists (select 1 from identity);
`;

export async function setUp(database: Database): Promise<void> {
  await database.run(SCRIPT);
}

/** A name that the database keeps for its lifetime; another database has another one. */
export async function identityOf(database: Database): Promise<string> {
  const [row] = await database.query<{ id: string }>('select id from bank_dashboard.identity');
  if (!row) throw new Error('The database has no identity; it was not set up.');
  return row.id;
}
