import { join } from 'node:path';
import { BrokerProcess } from './broker-process.js';
import { librariesOf, onPath, unpackedServer, whyItFails } from './distribution.js';

export interface KafkaServer {
  /** `host:port` of each. */
  readonly brokers: readonly string[];
  stop(): Promise<void>;
}

const BROKERS = 3;

/**
 * A Kafka cluster that speaks the real protocol: the mock cluster inside librdkafka, hosted by its command line client. Topics appear when
 * they are first named, with 4 partitions, and live in memory. What it is not: a broker. It has no disk, no replication that could lag
 * or lose, no elections, no retention or compaction, no quotas, no transactions, no access control, and a simpler group coordinator.
 */
export async function startKafka(): Promise<KafkaServer> {
  const { path, env } = await findBinary();
  const process = await BrokerProcess.start({
    name: "librdkafka's mock cluster",
    path,
    env,
    // Hosts the cluster for as long as its input is open, and produces nothing.
    args: ['-P', '-t', 'unused', '-b', '127.0.0.1:1', '-X', `test.mock.num.brokers=${BROKERS}`],
    ready: new RegExp(`replaced with ((?:127\\.0\\.0\\.1:\\d+,?){${BROKERS}})`),
  });
  return { brokers: process.match![1]!.split(','), stop: () => process.stop() };
}

interface Binary {
  readonly path: string;
  readonly env: Readonly<Record<string, string>>;
}

async function findBinary(): Promise<Binary> {
  for (const name of ['kcat', 'kafkacat']) {
    const path = onPath(name);
    if (path && !(await whyItFails(path, ['-V']))) return { path, env: {} };
  }
  const binary = (root: string): Binary => ({ path: join(root, 'usr/bin/kcat'), env: librariesOf(root) });
  const root = await unpackedServer({
    name: 'kcat',
    // prettier-ignore
    packages: [
      'kcat', 'librdkafka1', 'libyajl2', 'libsasl2-2', 'liblz4-1', 'libzstd1', 'libssl3', 'libssl3t64',
    ],
    help: 'Install kcat, so that it is on the PATH.',
    trouble: (tree) => whyItFails(binary(tree).path, ['-V'], binary(tree).env),
  });
  return binary(root);
}
