import { Redis } from 'ioredis';

let sent = 0;

/**
 * Counts what every ioredis client of this process sends, the guard's own connections included: one for a command, a
 * script or a whole MGET. (The server's own statistics count what a script calls as well.)
 */
export function countCommands(): void {
  const send = Redis.prototype.sendCommand;
  Redis.prototype.sendCommand = function counted(this: Redis, ...args: Parameters<typeof send>) {
    sent += 1;
    return send.apply(this, args);
  };
}

export function commandsSent(): number {
  return sent;
}
