import { SqlOutbox } from 'nestjs-cache-guard';

/** Stands in the bank's own database: an event is written with what it tells of, or not at all. */
export const bankOutbox = new SqlOutbox({ dialect: 'postgres', table: 'bank_dashboard.outbox' });
