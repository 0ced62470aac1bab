import { createServer } from 'node:net';

// Below the ephemeral range (an outgoing connection cannot take the port), with room for the cluster bus at +10000.
const FIRST = 12_000;
const LAST = 21_999;

/** A loopback port on which nobody listens just now; with `bus`, port + 10000 is free as well. */
export async function freePort(options: { bus?: boolean } = {}): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST + 1));
    if ((await isFree(port)) && (!options.bus || (await isFree(port + 10_000)))) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host: '127.0.0.1', port }, () => server.close(() => resolve(true)));
  });
}
