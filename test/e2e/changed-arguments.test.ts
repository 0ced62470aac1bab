import {
  Body,
  Controller,
  Injectable,
  Post,
  UseInterceptors,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { Cached, CacheGuardModule, Refreshes, routeKey } from 'nestjs-cache-guard';
import { tap, type Observable } from 'rxjs';
import { beforeEach, describe, expect, it } from 'vitest';
import { uniqueNamespace } from '../support/namespace.js';
import { gate, startApp } from './support/app.js';
import { ADAPTERS, listenOn } from './support/http-face.js';

interface Query {
  user: string;
}

@Injectable()
class Accounts {
  @Cached({ domain: 'accounts' })
  async derived(query: Query): Promise<string> {
    return `value of ${query.user}`;
  }

  @Cached({ domain: 'accounts', name: 'explicit', key: ({ user }: Query) => user })
  async explicit(query: Query): Promise<string> {
    return `value of ${query.user}`;
  }

  @Refreshes({ domain: 'accounts', name: 'explicit', key: ({ user }: Query) => user })
  async write(query: Query): Promise<string> {
    return `written for ${query.user}`;
  }

  @Cached({ domain: 'accounts', name: 'text', key: (text: string) => counting(text) })
  async text(text: string): Promise<string> {
    return text;
  }

  @Cached({ domain: 'accounts', name: 'object', key: ({ user }: Query) => counting(user) })
  async object({ user }: Query): Promise<string> {
    return user;
  }
}

/** As a logger does that takes out of the request what must not be written down. */
@Injectable()
class Redacting implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { body } = context.switchToHttp().getRequest<{ body: Query }>();
    return next.handle().pipe(tap(() => (body.user = 'redacted')));
  }
}

const ROUTE = { methods: ['POST'], statuses: [201], vary: { headers: ['X-Any'] } } as const;

@Controller()
class AccountsController {
  @Post('find')
  @UseInterceptors(Redacting)
  @Cached({ domain: 'behind', key: ({ user }: Query) => user, http: ROUTE })
  async find(@Body() query: Query): Promise<string> {
    return `value of ${query.user}`;
  }
}

let keys = 0;
const counting = (key: string): string => {
  keys++;
  return key;
};

const start = () =>
  startApp({
    imports: [
      CacheGuardModule.forRoot({
        namespace: uniqueNamespace(),
        domains: { accounts: { freshness: 'reference', stalePolicy: 'never' } },
      }),
    ],
    providers: [Accounts],
  });

describe('an argument that is changed after the call', () => {
  beforeEach(() => {
    keys = 0;
  });

  it.each(['derived', 'explicit'] as const)('stores nothing under the key of the call: %s', async (method) => {
    const { of, events, logs } = await start();
    const accounts = of<Accounts>(Accounts);
    const query = { user: 'ada' };
    const read = accounts[method](query);
    query.user = 'bob';
    expect(await read).toBe('value of bob');
    expect(await accounts[method]({ user: 'ada' })).toBe('value of ada');
    expect(await accounts[method]({ user: 'bob' })).toBe('value of bob');
    expect(events.filter((event) => event.type === 'uncacheable')).toMatchObject([
      { origin: `Accounts.${method}`, reason: 'key-changed' },
    ]);
    expect(logs.of('warn')).toEqual([expect.stringMatching(`Accounts.${method}.*changed after the call`)]);
  });

  it('is written under no key, and the values of both are loaded anew', async () => {
    const { of } = await start();
    const accounts = of<Accounts>(Accounts);
    for (const user of ['ada', 'bob']) {
      expect(await accounts.write({ user })).toBe(`written for ${user}`);
      expect(await accounts.explicit({ user })).toBe(`written for ${user}`);
    }
    const query = { user: 'ada' };
    const write = accounts.write(query);
    query.user = 'bob';
    expect(await write).toBe('written for bob');
    for (const user of ['ada', 'bob']) expect(await accounts.explicit({ user })).toBe(`value of ${user}`);
  });

  it('costs a second key on loads only, and only where an argument is an object', async () => {
    const { of } = await start();
    const accounts = of<Accounts>(Accounts);
    await accounts.text('a');
    expect(keys).toBe(1);
    await accounts.object({ user: 'a' });
    expect(keys).toBe(3);
    await accounts.object({ user: 'a' });
    expect(keys).toBe(4);
  });
});

it.each(ADAPTERS)(
  'a request that is changed after its answer replaces nothing in the background [%s]',
  async (adapter) => {
    const domains = { behind: { freshness: 'experience', bulkhead: { concurrency: 1 } } } as const;
    const { ask, guard, events } = await listenOn(adapter, { controllers: [AccountsController] }, { domains });
    const headers = { 'content-type': 'application/json', 'x-any': '1' };
    const target = { domain: 'behind', key: routeKey({ key: 'ada', headers: { 'x-any': '1' } }) };
    const find = async () => (await ask('/find', { method: 'POST', headers, body: '{"user":"ada"}' })).body;
    expect(await find()).toBe('value of ada');
    await guard.invalidate(target);
    const refreshed = new Promise<void>((resolve) => {
      guard.on(({ type }) => type === 'uncacheable' && resolve());
    });
    // The refresh behind waits for its turn until the answer is out.
    const [entered, left] = [gate(), gate()];
    const other = guard.getOrLoad({ domain: 'behind', key: 'other' }, async () => {
      entered.open();
      await left.passed;
      return 'other';
    });
    await entered.passed;
    expect(await find()).toBe('value of ada');
    left.open();
    await Promise.all([other, refreshed]);
    expect(events).toContainEqual(
      expect.objectContaining({ type: 'uncacheable', reason: 'key-changed', origin: 'AccountsController.find' }),
    );
    expect(await guard.peek(target)).toMatchObject({ value: 'value of ada' });
  },
);
