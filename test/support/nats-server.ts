import { join } from 'node:path';
import { BrokerProcess, retryTakenPort } from './broker-process.js';
import { onPath, unpackedServer, whyItFails } from './distribution.js';
import { freePort } from './ports.js';

export interface NatsServer {
  readonly port: number;
  /** `host:port`, as the clients want it. */
  readonly address: string;
  stop(): Promise<void>;
}

/** A NATS server on a free loopback port, without JetStream: what Nest's transport speaks. */
export async function startNats(): Promise<NatsServer> {
  const path = await findBinary();
  return retryTakenPort(async () => {
    const port = await freePort();
    const args = ['-a', '127.0.0.1', '-p', String(port)];
    const process = await BrokerProcess.start({ name: 'NATS', path, args, ready: /Server is ready/ });
    return { port, address: `127.0.0.1:${port}`, stop: () => process.stop() };
  });
}

async function findBinary(): Promise<string> {
  const installed = onPath('nats-server');
  if (installed && !(await whyItFails(installed, ['--version']))) return installed;
  const binary = (root: string): string => join(root, 'usr/sbin/nats-server');
  const root = await unpackedServer({
    name: 'nats-server',
    packages: ['nats-server'],
    help: 'Install NATS, so that nats-server is on the PATH.',
    trouble: (tree) => whyItFails(binary(tree), ['--version']),
  });
  return binary(root);
}
