import {
  Controller,
  Get,
  Inject,
  Injectable,
  Module,
  Scope,
  UseGuards,
  type CanActivate,
  type ModuleMetadata,
  type Provider,
  type Type,
} from '@nestjs/common';
import { Cached, CacheGuardConfigError, CacheGuardModule } from 'nestjs-cache-guard';
import { describe, expect, it } from 'vitest';
import { uniqueNamespace } from '../support/namespace.js';
import { failureOf, startApp } from './support/app.js';

const root = () =>
  CacheGuardModule.forRoot({ namespace: uniqueNamespace(), domains: { offers: { freshness: 'experience' } } });

const BANK = Symbol('bank');

@Injectable()
class Repo {
  constructor(@Inject(BANK) readonly bank: string) {}

  @Cached({ domain: 'offers' })
  async find(id: string): Promise<string> {
    return `${id} of ${this.bank}`;
  }
}

@Injectable()
class Other {
  @Cached({ domain: 'offers' })
  async find(id: string): Promise<string> {
    return id;
  }
}

const made = (provide: string, bank: string): Provider => ({ provide, useFactory: () => new Repo(bank) });

/** A module that has one of its own, with its own configuration. */
const moduleOf = (bank: string, type: Type = Repo) => {
  @Module({ providers: [type, { provide: BANK, useValue: bank }] })
  class BankModule {}
  return BankModule;
};

describe('several objects of one class with a @Cached method', () => {
  it.each<[string, ModuleMetadata]>([
    ['by factories', { providers: [made('EU', 'eu-bank'), made('US', 'us-bank')] }],
    ['as values', { providers: ['EU', 'US'].map((bank) => ({ provide: bank, useValue: new Repo(bank) })) }],
    ['by two modules', { imports: [moduleOf('eu-bank'), moduleOf('us-bank')] }],
    ['by a module, and as a value', { imports: [moduleOf('eu-bank')], providers: [made('US', 'us-bank')] }],
  ])('are refused when they are made %s', async (_, { imports = [], ...metadata }) => {
    const error = await failureOf(() => startApp({ imports: [root(), ...imports], ...metadata }));
    expect(error).toBeInstanceOf(CacheGuardConfigError);
    expect(error).toMatchObject({ code: 'CG_NAME_CLASH', domain: 'offers', field: 'shared', method: 'Repo.find' });
    expect(String(error)).toMatch(/2 objects of one class.*Repo\.find.*provide the class once.*subclass.*shared: true/);
  });

  it('are one where they are aliases, or exported', async () => {
    @Module({ providers: [Repo, { provide: BANK, useValue: 'eu-bank' }], exports: [Repo] })
    class BankModule {}
    @Module({ imports: [BankModule], providers: [{ provide: 'alias', useExisting: Repo }] })
    class OtherModule {}
    const again = { provide: 'again', useFactory: (repo: Repo) => repo, inject: [Repo] };
    const { of } = await startApp({ imports: [root(), BankModule, OtherModule], providers: [again] });
    expect(of('alias')).toBe(of('again'));
  });

  it('are told apart as subclasses', async () => {
    class Eu extends Repo {}
    class Us extends Repo {}
    const providers = [Eu, Us].map((type) => ({ provide: type, useFactory: () => new type(type.name) }));
    const { of } = await startApp({ imports: [root()], providers });
    expect(await of<Repo>(Eu).find('1')).toBe('1 of Eu');
    expect(await of<Repo>(Us).find('1')).toBe('1 of Us');
  });

  it('are accepted where they are made per request or consumer, or by Nest for each module', async () => {
    @Injectable()
    class Rights implements CanActivate {
      @Cached({ domain: 'offers', name: 'rights' })
      async canActivate(): Promise<boolean> {
        return true;
      }
    }
    const guardedModule = (path: string) => {
      @Controller(path)
      @UseGuards(Rights)
      class Guarded {
        @Get()
        get(): string {
          return path;
        }
      }
      @Module({ controllers: [Guarded] })
      class GuardedModule {}
      return GuardedModule;
    };
    const perRequest = ['a', 'b'].map((provide) => ({ provide, useClass: Other, scope: Scope.REQUEST }));
    const perConsumer = ['c', 'd'].map((provide) => ({ provide, useClass: Other, scope: Scope.TRANSIENT }));
    await startApp({
      imports: [root(), guardedModule('a'), guardedModule('b')],
      providers: [...perRequest, ...perConsumer],
    });
  });
});
