import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, it } from 'vitest';
import { EmbeddedDatabase } from '../../sample-app/source/embedded-database.js';
import { expectNothingLostByAKilledRelay } from './support/killed-relay.js';

let database: EmbeddedDatabase;
const folder = mkdtempSync(join(tmpdir(), 'outbox-'));
beforeAll(async () => {
  database = await EmbeddedDatabase.start();
  await database.serve(join(folder, '.s.PGSQL.5432'));
});
afterAll(async () => {
  await database.close();
  rmSync(folder, { recursive: true, force: true });
});

it('a relay that is killed after it has sent and before it has deleted loses nothing, and what is sent twice is done once', async () => {
  await expectNothingLostByAKilledRelay(database, { dialect: 'postgres', folder });
});
