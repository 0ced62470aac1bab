import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { resolveRedisBinary } from './redis-binary.js';

const run = promisify(execFile);

/** Files of a server's certificate, signed by an authority that exists for it alone. */
export interface Certificates {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  /** The authority's certificate, for clients. */
  readonly ca: string;
}

/** Why no server of this machine can be started with TLS; nothing when one can. */
export async function whyNoTls(): Promise<string | undefined> {
  try {
    await run('openssl', ['version']);
  } catch {
    return 'there is no openssl to make certificates with';
  }
  const { path, env } = await resolveRedisBinary();
  try {
    // Refused by every build, and by those that know the setting for its value.
    await run(path, ['--tls-auth-clients', 'unheard-of'], { env: { ...process.env, ...env }, timeout: 5_000 });
    return 'the redis-server takes any TLS setting';
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    return `${stdout}${stderr}`.includes('optional') ? undefined : 'the redis-server was built without TLS';
  }
}

/** Makes a certificate for 127.0.0.1 and localhost in `folder`; needs the `openssl` command. */
export async function makeCertificates(folder: string): Promise<Certificates> {
  mkdirSync(folder, { recursive: true });
  const file = (name: string): string => join(folder, name);
  const [caFile, certFile, keyFile] = [file('ca.crt'), file('server.crt'), file('server.key')];
  const elliptic = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const authority = ['-x509', ...elliptic, '-subj', '/CN=Test authority', '-keyout', file('ca.key'), '-out', caFile];
  await run('openssl', ['req', ...authority]);
  const names = 'subjectAltName=IP:127.0.0.1,DNS:localhost';
  const signed = ['-x509', ...elliptic, '-subj', '/CN=localhost', '-addext', names, '-CA', caFile];
  const leaf = ['-addext', 'basicConstraints=critical,CA:FALSE', '-keyout', keyFile, '-out', certFile];
  await run('openssl', ['req', ...signed, '-CAkey', file('ca.key'), ...leaf]);
  return { caFile, certFile, keyFile, ca: readFileSync(caFile, 'utf8') };
}
