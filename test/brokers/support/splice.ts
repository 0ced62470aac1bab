import { createServer, connect, type AddressInfo, type Socket } from 'node:net';

/** A way to a server that can be cut. */
export interface Splice {
  readonly port: number;
  /** Ends all connections at once; new ones may be made. */
  cut(): void;
  close(): Promise<void>;
}

export async function spliceTo(port: number): Promise<Splice> {
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
  };
  const server = createServer((near) => {
    const far = connect({ host: '127.0.0.1', port });
    keep(near);
    keep(far);
    near.pipe(far).pipe(near);
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
  });
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve));
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    close: () => {
      cut();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
