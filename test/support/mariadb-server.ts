import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { BrokerProcess, retryTakenPort } from './broker-process.js';
import { removeWithParent } from './children.js';
import { librariesOf, onPath, unpackedServer, whyItFails } from './distribution.js';
import { freePort } from './ports.js';

export interface MariaDbServer {
  readonly port: number;
  stop(): Promise<void>;
}

interface Installation {
  readonly path: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/**
 * A MariaDB on a free loopback port, with an empty data folder of its own, in its factory settings but for `options`: no file is read.
 * There are no system tables and no accounts; everybody may do everything. Ready in about 1 s.
 */
export async function startMariaDb(options: readonly string[] = []): Promise<MariaDbServer> {
  const installation = await findInstallation();
  return retryTakenPort(() => launch(installation, options));
}

async function launch({ path, args, env }: Installation, options: readonly string[]): Promise<MariaDbServer> {
  const dir = mkdtempSync(join(tmpdir(), 'cache-guard-mariadb-'));
  const removeDir = removeWithParent(dir);
  const port = await freePort();
  try {
    const server = await BrokerProcess.start({
      name: 'MariaDB',
      path,
      // prettier-ignore
      args: [
        // Has to be the first.
        '--no-defaults', ...args, `--datadir=${dir}`, `--socket=${join(dir, 's')}`, `--pid-file=${join(dir, 'pid')}`, '--skip-grant-tables',
        '--bind-address=127.0.0.1', `--port=${port}`, `--user=${userInfo().username}`, '--skip-name-resolve', '--innodb-log-file-size=8M',
        '--innodb-buffer-pool-size=16M', '--innodb-flush-log-at-trx-commit=0', ...options,
      ],
      env,
      ready: /ready for connections/,
    });
    const stop = async (): Promise<void> => {
      await server.stop();
      removeDir();
    };
    return { port, stop };
  } catch (error) {
    removeDir();
    throw error;
  }
}

async function findInstallation(): Promise<Installation> {
  const installed = onPath('mariadbd') ?? ['/usr/sbin/mariadbd'].find((path) => existsSync(path));
  if (installed && !(await whyItFails(installed, ['--version']))) return { path: installed, args: [], env: {} };
  const root = await unpackedServer({
    name: 'mariadb-server',
    // prettier-ignore
    packages: [
      'mariadb-server-core', 'libaio1', 'libaio1t64', 'libnuma1', 'liburing2', 'libpcre2-8-0', 'libssl3', 'libssl3t64', 'libsystemd0', 'libstdc++6',
    ],
    help: 'Install MariaDB, so that mariadbd is on the PATH.',
    trouble: (tree) => whyItFails(unpacked(tree).path, ['--version'], unpacked(tree).env),
  });
  return unpacked(root);
}

function unpacked(root: string): Installation {
  return {
    path: join(root, 'usr/sbin/mariadbd'),
    args: [`--basedir=${join(root, 'usr')}`],
    env: librariesOf(root),
  };
}
