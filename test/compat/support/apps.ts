import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { copyFile, cp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { removeWithParent } from '../../support/children.js';
import { PROJECT_ROOT } from '../../support/paths.js';
import type { FollowedReport } from '../app/domain-events.js';
import type { Failure, Report } from '../app/offers.js';
import { compileProject } from './compiler.js';
import { attempt, run, type Ended } from './run.js';
import { COMPAT_DIR, readManifest, type Tarball } from './tarball.js';

export interface AppPlan {
  readonly name: string;
  readonly modules: 'esm' | 'commonjs';
  /** What the application depends on besides the library, pinned to majors. */
  readonly packages: Readonly<Record<string, string>>;
}

const SOURCES = [new URL('../app/offers.ts', import.meta.url), new URL('../app/main.ts', import.meta.url)];
/** Those that need optional packages. */
const MORE_SOURCES = [
  new URL('../app/handed-in.ts', import.meta.url),
  new URL('../app/domain-events.ts', import.meta.url),
];

/** What each of the programs prints. */
interface Programs {
  readonly main: Report;
  readonly 'handed-in': Report;
  readonly 'domain-events': FollowedReport;
}

/** An application with the packed library in its node_modules, outside of this project: nothing of ours can be found by accident. */
export class InstalledApp {
  complaints: readonly string[] = ['not compiled yet'];

  private constructor(
    readonly plan: AppPlan,
    readonly folder: string,
    private readonly removeFolder: () => void,
  ) {}

  /** Copies the sources, installs the dependencies and the tarball with npm, and compiles. */
  static async install(plan: AppPlan, tarball: Tarball): Promise<InstalledApp> {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), 'cache-guard-compat-')));
    const app = new InstalledApp(plan, folder, removeWithParent(folder));
    await copyFile(tarball.path, join(folder, basename(tarball.path)));
    app.write('package.json', {
      name: plan.name,
      version: '1.0.0',
      private: true,
      type: plan.modules === 'esm' ? 'module' : 'commonjs',
      dependencies: { ...plan.packages, 'nestjs-cache-guard': `file:${basename(tarball.path)}` },
    });
    const sources = 'ioredis' in plan.packages ? [...SOURCES, ...MORE_SOURCES] : SOURCES;
    for (const source of sources) await cp(source, join(folder, 'src', basename(source.pathname)));
    await app.installPackages();
    return app;
  }

  /** The version of a package as the application finds it; `undefined` when it is not there. */
  versionOf(name: string): string | undefined {
    const manifest = join(this.packages, name, 'package.json');
    if (!existsSync(manifest)) return undefined;
    return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
  }

  /** Compiles the application; what the compiler complains of is in `complaints`. */
  compile(): void {
    this.complaints = this.runCompiler({ outDir: 'out' });
  }

  /** What the compiler complains of with other options; nothing is written. */
  check(overrides: Readonly<Record<string, unknown>>): string[] {
    return this.runCompiler({ noEmit: true, ...overrides });
  }

  /** Starts the compiled application, waits until it has ended by itself, and gives what it has printed. */
  async start<Name extends keyof Programs>(
    entry: Name,
    env: Readonly<Record<string, string>>,
  ): Promise<Programs[Name]> {
    const { code, stdout, stderr } = await this.launch(entry, env);
    const printed = code === 0 && stderr === '' && stdout.startsWith('{') ? (JSON.parse(stdout) as object) : undefined;
    if (printed && !('failed' in printed)) return printed as Programs[Name];
    throw new Error(`${this.plan.name} ended with ${code}\n${stdout}\n${stderr}`);
  }

  /** As `start`, for an application that must not boot. */
  async startRefused(env: Readonly<Record<string, string>>): Promise<Failure['failed']> {
    const { code, stdout, stderr } = await this.launch('main', env);
    const last = stdout.trimEnd().split('\n').at(-1) ?? '';
    if (code === 0 && last.startsWith('{"failed"')) return (JSON.parse(last) as Failure).failed;
    throw new Error(`${this.plan.name} was not refused; it ended with ${code}\n${stdout}\n${stderr}`);
  }

  /** Runs a line of JavaScript that prints JSON, in the application's folder. */
  async evaluate(script: string, modules: 'esm' | 'commonjs' = this.plan.modules): Promise<unknown> {
    const type = modules === 'esm' ? 'module' : 'commonjs';
    const ended = await this.node([`--input-type=${type}`, '--eval', script]);
    if (ended.code !== 0) throw new Error(`${script}\nended with ${ended.code}\n${ended.stderr}`);
    return JSON.parse(ended.stdout);
  }

  /** Puts the packages back into the cache and takes the rest away. */
  async remove(): Promise<void> {
    rmSync(join(this.packages, 'nestjs-cache-guard'), { recursive: true, force: true });
    rmSync(join(this.packages, '.package-lock.json'), { force: true });
    await move(this.packages, this.cachedPackages);
    this.removeFolder();
  }

  private launch(entry: string, env: Readonly<Record<string, string>>): Promise<Ended> {
    return this.node([join('out', `${entry}.js`)], { APP_NAME: this.plan.name, ...env });
  }

  private node(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
    return attempt(process.execPath, args, { cwd: this.folder, env, timeoutMs: 30_000 });
  }

  /** Moved and not copied: between runs the packages lie in the cache, all but the library itself, which is new in each run. */
  private async installPackages(): Promise<void> {
    await move(this.cachedPackages, this.packages);
    const flags = ['--no-audit', '--no-fund', '--ignore-scripts', '--no-package-lock', '--prefer-offline'];
    await run('npm', ['install', ...flags, '--strict-peer-deps', '--loglevel=error'], { cwd: this.folder });
  }

  private runCompiler(overrides: Readonly<Record<string, unknown>>): string[] {
    this.write('tsconfig.json', {
      compilerOptions: {
        target: 'es2022',
        lib: ['es2023'],
        module: 'nodenext',
        strict: true,
        skipLibCheck: false,
        esModuleInterop: true,
        experimentalDecorators: true,
        emitDecoratorMetadata: true,
        types: ['node'],
        typeRoots: [join(PROJECT_ROOT, 'node_modules', '@types')],
        rootDir: 'src',
        ...overrides,
      },
      include: ['src'],
    });
    return compileProject(join(this.folder, 'tsconfig.json'), 'nestjs-cache-guard');
  }

  private get packages(): string {
    return join(this.folder, 'node_modules');
  }

  private get cachedPackages(): string {
    return join(COMPAT_DIR, `${this.plan.name}-${this.dependencyHash()}`);
  }

  private dependencyHash(): string {
    const { dependencies, peerDependencies } = readManifest();
    const all = [this.plan.packages, dependencies, peerDependencies];
    return createHash('sha256').update(JSON.stringify(all)).digest('hex').slice(0, 12);
  }

  private write(file: string, content: unknown): void {
    writeFileSync(join(this.folder, file), `${JSON.stringify(content, null, 2)}\n`);
  }
}

/** Moves a folder, if it is there and its new place is free. */
async function move(from: string, to: string): Promise<void> {
  if (!existsSync(from) || existsSync(to)) return;
  mkdirSync(dirname(to), { recursive: true });
  try {
    renameSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    await cp(from, to, { recursive: true, verbatimSymlinks: true });
  }
}
