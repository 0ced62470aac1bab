import { Redis } from 'ioredis';
import { baseOptions, main } from './offers.js';

/** An application that brings a client of its own, which the library must neither use nor close. */
async function run(): Promise<void> {
  const client = new Redis(process.env['REDIS_URL'] ?? '', { lazyConnect: true });
  await client.connect();
  await main({ ...baseOptions(), existingClient: client });
  if ((await client.ping()) !== 'PONG') throw new Error('The client does not answer any more.');
  await client.quit();
}

void run();
