import type { Redis } from 'ioredis';

/** Gives connections up for new ones, until they are closed. */
export class Renewal {
  private closed = false;

  constructor(private readonly client: Pick<Redis, 'status' | 'connect' | 'disconnect'>) {}

  renew(): void {
    const { client, closed } = this;
    // ioredis ends for good what is told to reconnect while it still looks for its server, which has time-outs of its own.
    if (closed || client.status === 'connecting') return;
    // How it went is told by events.
    if (client.status === 'end') client.connect().catch(() => {});
    else client.disconnect(true);
  }

  close(): void {
    this.closed = true;
    this.client.disconnect();
  }
}
