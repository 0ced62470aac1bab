import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { BrokerProcess, retryTakenPort } from './broker-process.js';
import { removeWithParent } from './children.js';
import { librariesOf, listFolder, onPath, unpackedServer, whyItFails } from './distribution.js';
import { freePort } from './ports.js';

export interface RabbitMqServer {
  readonly port: number;
  readonly url: string;
  stop(): Promise<void>;
}

interface Installation {
  readonly erl: string;
  readonly epmd: string;
  /** The folder with `plugins/`, in which all of the broker's code is. */
  readonly home: string;
  readonly env: Readonly<Record<string, string>>;
}

/** A RabbitMQ on free loopback ports, with files, cookie and port mapper of its own; ready in about 4 s. */
export async function startRabbitMq(): Promise<RabbitMqServer> {
  const installation = await findInstallation();
  return retryTakenPort(() => launch(installation));
}

async function launch({ erl, epmd, home, env }: Installation): Promise<RabbitMqServer> {
  const dir = mkdtempSync(join(tmpdir(), 'cache-guard-rabbitmq-'));
  const removeDir = removeWithParent(dir);
  const [port, distribution, mapper] = await Promise.all([freePort(), freePort(), freePort()]);
  const base = {
    ...env,
    HOME: dir,
    ERL_CRASH_DUMP: '/dev/null',
    PATH: [dirname(erl), process.env['PATH']].join(delimiter),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    ERL_EPMD_PORT: String(mapper),
  };
  // Started first and as a child of ours: the broker would start one that outlives everything.
  const portMapper = await BrokerProcess.start({
    name: 'epmd',
    path: epmd,
    args: ['-d', '-d'],
    env: base,
    ready: /entering the main select/,
  });
  try {
    const broker = await BrokerProcess.start({
      name: 'RabbitMQ',
      path: erl,
      args: ERL_ARGS,
      env: {
        ...base,
        ERL_LIBS: join(home, 'plugins'),
        RABBITMQ_HOME: home,
        RABBITMQ_PLUGINS_DIR: join(home, 'plugins'),
        RABBITMQ_NODENAME: `cache-guard-${port}@localhost`,
        RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
        RABBITMQ_NODE_PORT: String(port),
        RABBITMQ_DIST_PORT: String(distribution),
        RABBITMQ_MNESIA_BASE: join(dir, 'data'),
        RABBITMQ_LOG_BASE: join(dir, 'log'),
        RABBITMQ_LOGS: '-',
        RABBITMQ_CONFIG_FILE: join(dir, 'rabbitmq'),
        RABBITMQ_CONF_ENV_FILE: '/dev/null',
        RABBITMQ_ENABLED_PLUGINS_FILE: join(dir, 'enabled_plugins'),
        RABBITMQ_PID_FILE: join(dir, 'pid'),
      },
      ready: /Server startup complete/,
      withinMs: 60_000,
    });
    const stop = async (): Promise<void> => {
      await broker.stop();
      await portMapper.stop();
      removeDir();
    };
    return { port, url: `amqp://guest:guest@127.0.0.1:${port}`, stop };
  } catch (error) {
    await portMapper.stop();
    removeDir();
    throw error;
  }
}

/** What its own start script gives, without that script: the pid is then that of the broker itself. */
// prettier-ignore
const ERL_ARGS = [
  '-noinput', '-s', 'rabbit', 'boot', '-boot', 'start_sasl', '+W', 'w', '+sbwt', 'none', '+sbwtdcpu', 'none', '+sbwtdio', 'none',
  '+S', '2', '-syslog', 'logger', '[]', '-syslog', 'syslog_error_logger', 'false', '-kernel', 'prevent_overlapping_partitions', 'false',
];

async function findInstallation(): Promise<Installation> {
  const [erl, epmd] = [onPath('erl'), onPath('epmd')];
  const home = homeBelow('/');
  if (erl && epmd && home && !(await whyItFails(erl, HALT))) return { erl, epmd, home, env: {} };
  const root = await unpackedServer({
    name: 'rabbitmq-server',
    // The broker, and of Erlang what it needs: no ssh, no SNMP, no tools.
    // prettier-ignore
    packages: [
      'rabbitmq-server', 'erlang-base', 'erlang-asn1', 'erlang-crypto', 'erlang-eldap', 'erlang-inets', 'erlang-mnesia', 'erlang-os-mon', 'erlang-public-key',
      'erlang-runtime-tools', 'erlang-ssl', 'erlang-syntax-tools', 'erlang-tools', 'erlang-xmerl', 'libtinfo6', 'libssl3', 'libssl3t64',
    ],
    help: 'Install RabbitMQ and Erlang, so that erl and epmd are on the PATH.',
    prepare: writeErl,
    trouble: async (tree) => {
      const found = unpackedInstallation(tree);
      return found ? whyItFails(found.erl, HALT, found.env) : 'the packages hold no RabbitMQ';
    },
  });
  return unpackedInstallation(root)!;
}

const HALT = ['-noinput', '-boot', 'start_clean', '-eval', 'halt().'];

function homeBelow(root: string): string | undefined {
  const folder = join(root, 'usr/lib/rabbitmq/lib');
  const name = listFolder(folder).find((one) => one.startsWith('rabbitmq_server-'));
  return name && join(folder, name);
}

function unpackedInstallation(root: string): Installation | undefined {
  const home = homeBelow(root);
  const runtime = runtimeBelow(root);
  if (!home || !runtime) return undefined;
  return { erl: join(root, 'bin/erl'), epmd: join(runtime, 'bin/epmd'), home, env: librariesOf(root) };
}

function runtimeBelow(root: string): string | undefined {
  const folder = join(root, 'usr/lib/erlang');
  const name = listFolder(folder).find((one) => one.startsWith('erts-'));
  return name && join(folder, name);
}

/** The package's own start script knows only the place where it would be installed. */
function writeErl(root: string): void {
  const runtime = runtimeBelow(root);
  if (!runtime) return;
  const script = join(root, 'bin/erl');
  mkdirSync(dirname(script), { recursive: true });
  const erts = runtime.slice(runtime.lastIndexOf('/') + 1);
  writeFileSync(
    script,
    `#!/bin/sh
export ROOTDIR="$(cd "$(dirname "$0")/.." && pwd)/usr/lib/erlang"
export BINDIR="$ROOTDIR/${erts}/bin" EMU=beam PROGNAME=erl
exec "$BINDIR/erlexec" "$@"
`,
  );
  chmodSync(script, 0o755);
}
