import { Redis } from 'ioredis';

type Send = (this: Redis, ...args: Parameters<Redis['sendCommand']>) => unknown;

let sent = 0;

/**
 * Counts what every ioredis client of this process sends, the guard's own connections included: one for a command, a
 * script or a whole MGET. (The server's own statistics count what a script calls as well.)
 */
export function countCommands(): void {
  const { prototype } = Redis;
  const send: Send = Reflect.get(prototype, 'sendCommand');
  prototype.sendCommand = function counted(this: Redis, ...args) {
    sent += 1;
    return send.apply(this, args);
  };
}

export function commandsSent(): number {
  return sent;
}
