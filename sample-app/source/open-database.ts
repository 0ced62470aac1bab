import { createHash } from 'node:crypto';
import { mkdirSync, unlinkSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import type { SampleConfig } from '../config.js';
import type { Database } from './database.js';
import { EmbeddedDatabase } from './embedded-database.js';
import { ServerDatabase } from './server-database.js';

/** What node-postgres looks for in a folder that is given as host. */
const SOCKET = '.s.PGSQL.5432';

/**
 * The server of `DATABASE_URL`, else an embedded Postgres. A shared cache needs a shared source: with `REDIS_URL`, the first process
 * of this machine serves its embedded Postgres to the others, for as long as it lives.
 */
export async function openDatabase({ databaseUrl, redisUrl, namespace = '' }: SampleConfig): Promise<Database> {
  if (databaseUrl) {
    return ServerDatabase.connect(`Postgres at ${new URL(databaseUrl).host}`, { connectionString: databaseUrl });
  }
  if (!redisUrl || process.platform === 'win32') return EmbeddedDatabase.start();
  const folder = socketFolder(`${redisUrl} ${namespace}`);
  return (await joinOther(folder)) ?? serve(folder);
}

async function serve(folder: string): Promise<Database> {
  const embedded = await EmbeddedDatabase.start();
  try {
    await embedded.serve(join(folder, SOCKET));
    return embedded;
  } catch (error) {
    await embedded.close();
    // Another process was faster.
    const other = await joinOther(folder);
    if (other) return other;
    throw error;
  }
}

async function joinOther(host: string): Promise<Database | undefined> {
  try {
    return await ServerDatabase.connect('embedded Postgres of another instance', { host, user: 'postgres' });
  } catch (error) {
    // Nobody is there, or a process ended without taking its socket along.
    if ((error as { code?: unknown }).code === 'ECONNREFUSED') unlinkSync(join(host, SOCKET));
    return undefined;
  }
}

/** A folder that only this user can enter, one for each fleet. */
function socketFolder(fleet: string): string {
  const name = createHash('sha256').update(fleet).digest('hex').slice(0, 12);
  const folder = join(tmpdir(), `bank-dashboard-${userInfo().uid}`, name);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}
