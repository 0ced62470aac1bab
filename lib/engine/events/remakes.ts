import { CacheGuardConfigError } from '../../core/errors.js';
import { OptionsChecker } from '../../core/field-checker.js';
import type { KeyPart } from '../../core/keys.js';
import type { LoadContext, ReadTarget } from '../../core/targets.js';
import type { Loader } from '../projecting.js';

/** What a call of a guarded method would read, and how it would load it. */
export interface PlannedCall {
  readonly target: ReadTarget;
  readonly load: Loader<unknown>;
}

/** A way to make the values of a space of keys again. */
export type Remake =
  /** A guarded method of an object that lives as long as the application. May throw what the user's functions throw. */
  | { readonly kind: 'method'; plan(args: readonly unknown[]): PlannedCall }
  /** The method's objects are made for a request or for whoever uses them: outside of one there is none. */
  | { readonly kind: 'request-scoped' }
  | { readonly kind: 'loader'; plan(key: KeyPart): PlannedCall };

/** What `loader` takes besides the function: a read target with whatever does not depend on the key. */
export interface LoaderTarget extends Omit<ReadTarget, 'key' | 'tags' | 'signal' | 'scope' | 'principal'> {
  /** As the readers give them; without them, invalidations of a tag would no longer reach what was loaded here. */
  readonly tags?: (key: KeyPart) => readonly string[];
}

const FIELDS = [
  'domain',
  'name',
  'tags',
  'softTtl',
  'hardTtl',
  'stalePolicy',
  'revive',
  'plain',
  'project',
  'aliasing',
  'origin',
] satisfies (keyof LoaderTarget)[];

const check: OptionsChecker = new OptionsChecker('CacheGuard.events.loader');

/** @param key as the rule gave it */
export type KeyLoader = (key: KeyPart, context: LoadContext) => Promise<unknown>;

/** How the values of an application can be made again when nobody asks for them: by domain and name. */
export class Remakes {
  private readonly known = new Map<string, Remake>();

  /** The first that is known for a space of keys stays, but for one that cannot be run. */
  add(domain: string, name: string | undefined, remake: Remake): void {
    const space = spaceOf(domain, name);
    const other = this.known.get(space);
    if (!other || (other.kind === 'request-scoped' && remake.kind !== 'request-scoped')) this.known.set(space, remake);
  }

  /** @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`), also when there is a loader already */
  addLoader(given: LoaderTarget, load: KeyLoader): void {
    const { tags, ...target } = check.options(given, FIELDS);
    const { domain, name } = target;
    if (name !== undefined) check.name('name', name);
    check.fn('tags', tags);
    check.needFn('load', load, '(key, context)');
    if (this.get(domain, name)?.kind === 'loader') {
      throw new CacheGuardConfigError(
        'CG_INVALID_OPTIONS',
        `Domain '${domain}': a second loader for name = '${name ?? ''}' is refused; register one, or give each a name of its own.`,
        { domain, field: 'name' },
      );
    }
    this.known.set(spaceOf(domain, name), {
      kind: 'loader',
      plan: (key) => ({
        target: { ...target, key, ...(tags && { tags: tags(key) }) },
        load: (context) => load(key, context),
      }),
    });
  }

  get(domain: string, name: string | undefined): Remake | undefined {
    return this.known.get(spaceOf(domain, name));
  }
}

function spaceOf(domain: string, name: string | undefined): string {
  return JSON.stringify([domain, name ?? null]);
}
