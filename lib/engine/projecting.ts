import type { LoadContext, ReadTarget } from '../core/targets.js';

export type Loader<Loaded, T = Loaded> = (context: LoadContext<T, Loaded>) => Promise<Loaded>;

/** Loads what may be kept and handed on: whatever becomes of the load, nobody is given more. */
export function loaderOf<T>({ project }: Pick<ReadTarget<T>, 'project'>, load: Loader<T>): Loader<T> {
  if (!project) return load;
  return async (context) => {
    const value = await load(context);
    // What is kept was projected when it was loaded.
    return isUnmodified(context) ? context.previous!.value : project(value);
  };
}

function isUnmodified(context: LoadContext): boolean {
  return (context as { readonly unmodified?: boolean }).unmodified === true;
}
