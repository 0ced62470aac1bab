import { Observable, of } from 'rxjs';
import { argsKey, Cached, Invalidates, Refreshes } from 'nestjs-cache-guard';

interface Offer {
  readonly id: string;
}

class OfferModel implements Offer {
  constructor(readonly id: string) {}
}

interface Publish {
  readonly segment: string;
  readonly ids: readonly number[];
}

/** What compiles. */
export abstract class Accepted {
  @Cached({ domain: 'offers' })
  async derived(_segment: string, _page = 1): Promise<Offer[]> {
    return [];
  }

  @Cached({ domain: 'offers', key: (segment: string) => segment })
  async prefix(_segment: string, _page: number): Promise<Offer[]> {
    return [];
  }

  @Cached({ domain: 'offers', key: (segment: string, page?: number) => [segment, page ?? 1] })
  async optional(_segment: string, _page?: number): Promise<Offer[]> {
    return [];
  }

  @Cached({ domain: 'offers', key: () => 'all', tags: () => ['list'], name: 'Offers', shared: true })
  async constant(_segment: string): Promise<Offer[]> {
    return [];
  }

  @Cached({ domain: 'offers', key: (segment: string | number) => segment })
  async wider(_segment: string): Promise<Offer[]> {
    return [];
  }

  @Cached({ domain: 'offers', key: (...segments: string[]) => segments })
  async rest(..._segments: string[]): Promise<Offer[]> {
    return [];
  }

  @Cached({ domain: 'offers', softTtl: '30s', hardTtl: 60_000, stalePolicy: { whileRevalidate: '1m', ifError: '1h' } })
  async overrides(): Promise<void> {}

  @Invalidates({ domain: 'offers', name: 'own', scope: 'private', key: (segment: string) => segment })
  @Cached({ domain: 'offers', scope: 'private' })
  async own(_segment: string): Promise<void> {}

  @Cached({ domain: 'offers', revive: OfferModel })
  async revivedItems(): Promise<OfferModel[]> {
    return [];
  }

  @Cached({ domain: 'offers', revive: OfferModel, aliasing: 'shared' })
  async revived(): Promise<OfferModel | null> {
    return null;
  }

  @Cached({ domain: 'offers', revive: (plain) => new OfferModel(String(plain)) })
  async revivedByFunction(): Promise<OfferModel> {
    return new OfferModel('a');
  }

  @Cached({ domain: 'offers', plain: true })
  protected async flattened(): Promise<OfferModel> {
    return new OfferModel('a');
  }

  @Cached({ domain: 'offers', key: (id: string) => id })
  async generic<T extends string>(_id: T): Promise<T | undefined> {
    return undefined;
  }

  @Invalidates({ domain: 'offers', key: (cmd: Publish) => cmd.segment, name: 'Offers' })
  @Invalidates({ domain: 'offers', keys: (cmd: Publish) => cmd.ids, mode: 'remove', when: 'settled' })
  @Invalidates({ domain: 'offers', tags: (cmd: Publish) => [`segment:${cmd.segment}`] })
  @Invalidates({ domain: 'offers', all: true })
  async publish(_cmd: Publish): Promise<void> {}

  @Invalidates({ domain: 'offers', key: (segment: string) => argsKey(segment, 1), name: 'Accepted.derived' })
  async derivedKey(_segment: string): Promise<void> {}

  @Refreshes({ domain: 'offers', key: (segment: string) => segment, tags: (segment: string) => [segment] })
  async rebuild(_segment: string): Promise<Offer[]> {
    return [];
  }

  @Refreshes({ domain: 'offers', name: 'Accepted.derived' })
  async rebuildDerived(_segment: string): Promise<Offer[]> {
    return [];
  }
}

/** What does not. */
export abstract class Refused {
  // @ts-expect-error a key function takes the method's parameters
  @Cached({ domain: 'offers', key: (segment: number) => segment })
  async otherType(_segment: string): Promise<void> {}

  // @ts-expect-error a key function takes no more parameters than the method
  @Cached({ domain: 'offers', key: (segment: string, page: number) => [segment, page] })
  async tooMany(_segment: string): Promise<void> {}

  // @ts-expect-error an optional parameter may be undefined
  @Cached({ domain: 'offers', key: (segment: string, page: number) => [segment, page] })
  async maybeUndefined(_segment: string, _page?: number): Promise<void> {}

  // @ts-expect-error parameters without an annotation are not checked against anything, so they are refused
  @Cached({ domain: 'offers', key: (segment) => segment })
  async unannotated(_segment: string): Promise<void> {}

  // @ts-expect-error a key names something
  @Cached({ domain: 'offers', key: (segment?: string) => segment })
  async undefinedKey(_segment?: string): Promise<void> {}

  // @ts-expect-error a key is made at once
  @Cached({ domain: 'offers', key: async (segment: string) => segment })
  async asyncKey(_segment: string): Promise<void> {}

  // @ts-expect-error tags take the method's parameters
  @Cached({ domain: 'offers', tags: (segment: number) => [`${segment}`] })
  async otherTags(_segment: string): Promise<void> {}

  // @ts-expect-error tags are a list
  @Cached({ domain: 'offers', tags: (segment: string) => segment })
  async tagsNoList(_segment: string): Promise<void> {}

  // @ts-expect-error the method returns no promise
  @Cached({ domain: 'offers' })
  sync(_segment: string): Offer[] {
    return [];
  }

  // @ts-expect-error the method returns an Observable
  @Cached({ domain: 'offers' })
  observable(_segment: string): Observable<Offer[]> {
    return of([]);
  }

  // @ts-expect-error the method may return no promise
  @Cached({ domain: 'offers' })
  sometimes(_segment: string): Promise<Offer[]> | Offer[] {
    return [];
  }

  // @ts-expect-error the name of the option is softTtl
  @Cached({ domain: 'offers', ttl: '30s' })
  async misspelt(): Promise<void> {}

  // @ts-expect-error a duration has a unit
  @Cached({ domain: 'offers', softTtl: '30 seconds' })
  async noDuration(): Promise<void> {}

  // @ts-expect-error there is no such policy
  @Cached({ domain: 'offers', stalePolicy: 'always' })
  async noPolicy(): Promise<void> {}

  // @ts-expect-error a domain is needed
  @Cached({ key: (segment: string) => segment })
  async noDomain(_segment: string): Promise<void> {}

  // @ts-expect-error revive gives another class
  @Cached({ domain: 'offers', revive: OfferModel })
  async otherClass(): Promise<Date> {
    return new Date(0);
  }

  // @ts-expect-error properties are not guarded
  @Cached({ domain: 'offers' })
  property = async (): Promise<void> => {};

  // @ts-expect-error accessors are not guarded
  @Cached({ domain: 'offers' })
  get accessor(): Promise<void> {
    return Promise.resolve();
  }

  // @ts-expect-error one way of naming what is invalidated
  @Invalidates({ domain: 'offers', key: (cmd: Publish) => cmd.segment, all: true })
  async twoWays(_cmd: Publish): Promise<void> {}

  // @ts-expect-error at least one way of naming what is invalidated
  @Invalidates({ domain: 'offers' })
  async noWay(_cmd: Publish): Promise<void> {}

  // @ts-expect-error keys gives a list
  @Invalidates({ domain: 'offers', keys: (cmd: Publish) => cmd.segment })
  async keysNoList(_cmd: Publish): Promise<void> {}

  // @ts-expect-error keys take the method's parameters
  @Invalidates({ domain: 'offers', keys: (cmd: { other: string[] }) => cmd.other })
  async otherKeys(_cmd: Publish): Promise<void> {}

  // @ts-expect-error a name belongs to keys
  @Invalidates({ domain: 'offers', all: true, name: 'Offers' })
  async nameForAll(): Promise<void> {}

  // @ts-expect-error a scope belongs to keys
  @Invalidates({ domain: 'offers', all: true, scope: 'private' })
  async scopeForAll(): Promise<void> {}

  // @ts-expect-error there is no such scope
  @Cached({ domain: 'offers', scope: 'mine' })
  async otherScope(): Promise<void> {}

  // @ts-expect-error there is no such moment
  @Invalidates({ domain: 'offers', all: true, when: 'before' })
  async noMoment(): Promise<void> {}

  // @ts-expect-error the method returns no promise
  @Invalidates({ domain: 'offers', all: true })
  syncWrite(): void {}

  // @ts-expect-error a refreshing method takes the key's parameters
  @Refreshes({ domain: 'offers', key: (segment: number) => segment })
  async otherRefresh(_segment: string): Promise<void> {}
}
