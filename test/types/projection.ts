import { expectTypeOf } from 'vitest';
import { Cached, Refreshes, type CacheGuard, type ProjectedTarget } from 'nestjs-cache-guard';

interface Customer {
  readonly name: string;
  readonly card: string;
}

type Shown = Omit<Customer, 'card'>;

declare const guard: CacheGuard;
declare const customer: Customer;
const load = async (): Promise<Customer> => customer;
const project = ({ name }: Customer): Shown => ({ name });
const target: ProjectedTarget<Customer, Shown> = { domain: 'customers', key: 'ada', project };

// by hand
// readers get what is kept
expectTypeOf(guard.getOrLoad(target, load)).resolves.toEqualTypeOf<Shown>();
expectTypeOf(guard.refresh(target, load)).resolves.toEqualTypeOf<Shown>();
expectTypeOf(
  guard.getOrLoad({ domain: 'd', key: 'k', project: (loaded: Customer) => loaded.name }, load),
).resolves.toEqualTypeOf<string>();
// also where the loader says nothing of it
expectTypeOf(
  guard.getOrLoad({ domain: 'd', key: 'k', project: (loaded) => loaded.name.length }, load),
).resolves.toEqualTypeOf<number>();
// without one, what is loaded
expectTypeOf(guard.getOrLoad({ domain: 'd', key: 'k' }, load)).resolves.toEqualTypeOf<Customer>();
// a load sees what is kept of the one before, and gives what is loaded
void guard.getOrLoad(target, async (context) => {
  expectTypeOf(context.previous?.value).toEqualTypeOf<Shown | undefined>();
  return context.previous ? context.notModified() : customer;
});
// who writes gives all, and keeps it
void guard.put(target, customer);
expectTypeOf(guard.writeThrough(target, load)).resolves.toEqualTypeOf<Customer>();
// @ts-expect-error: the load gives something else than is projected
void guard.getOrLoad(target, async () => 5);
// @ts-expect-error: what is put lacks what the projection reads
void guard.put(target, { name: 'Ada' });

export abstract class Accepted {
  @Cached({ domain: 'customers', key: (id: string) => id, project: ({ name }: Shown) => ({ name }) })
  async find(_id: string): Promise<Shown> {
    return customer;
  }

  @Cached({ domain: 'customers', project: (all: readonly Shown[]) => all.map(({ name }) => ({ name })) })
  async all(): Promise<readonly Shown[]> {
    return [customer];
  }

  @Refreshes({ domain: 'customers', key: (id: string) => id, project })
  async write(_id: string): Promise<Customer> {
    return customer;
  }
}

export abstract class Refused {
  // @ts-expect-error: it promises more than its callers get
  @Cached({ domain: 'customers', key: (id: string) => id, project })
  async promisesMore(_id: string): Promise<Customer> {
    return customer;
  }

  // @ts-expect-error: it gives nothing that could be projected so
  @Cached({ domain: 'customers', key: (id: string) => id, project })
  async givesLess(_id: string): Promise<Shown> {
    return customer;
  }

  // @ts-expect-error: made at once
  @Cached({ domain: 'customers', project: async ({ name }: Shown) => ({ name }) })
  async later(): Promise<Shown> {
    return customer;
  }

  // @ts-expect-error: no function
  @Cached({ domain: 'customers', project: ['name'] })
  async list(): Promise<Shown> {
    return customer;
  }
}
