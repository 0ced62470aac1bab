import { Cached, Follows, type DomainEvent } from 'nestjs-cache-guard';

interface Moved {
  readonly pair: string;
  readonly page?: number;
}

type Event = DomainEvent<Moved>;

/** What compiles. */
export abstract class Accepted {
  @Follows({ on: 'moved', args: ({ data }: Event) => [data.pair] })
  @Cached({ domain: 'rates' })
  async one(_pair: string, _page?: number): Promise<void> {}

  @Cached({ domain: 'rates' })
  @Follows({ on: ['moved', 'gone'], args: ({ data }: Event) => [data.pair, data.page], action: 'refresh' })
  @Follows({ on: 'split', from: 'stream', args: () => ['a', 1], version: () => 7n, mode: 'remove' })
  async two(_pair: string, _page?: number): Promise<void> {}

  @Follows({ on: 'moved', args: ({ data }: Event) => (data.page ? [data.pair] : undefined) })
  @Cached({ domain: 'rates' })
  async sometimes(_pair: string | number): Promise<void> {}

  @Follows({ on: 'moved', args: () => [] })
  @Cached({ domain: 'rates' })
  async none(): Promise<void> {}

  @Follows({ on: 'moved', args: ({ data }: Event) => ['a', data.pair, 'b'] })
  @Cached({ domain: 'rates' })
  async rest(..._pairs: string[]): Promise<void> {}
}

/** What does not. */
export abstract class Refused {
  // @ts-expect-error the method takes a text
  @Follows({ on: 'moved', args: () => [1] })
  @Cached({ domain: 'rates' })
  async otherType(_pair: string): Promise<void> {}

  // @ts-expect-error the method needs an argument
  @Follows({ on: 'moved', args: () => [] })
  @Cached({ domain: 'rates' })
  async tooFew(_pair: string): Promise<void> {}

  // @ts-expect-error the method takes one argument
  @Follows({ on: 'moved', args: ({ data }: Event) => [data.pair, 1] })
  @Cached({ domain: 'rates' })
  async tooMany(_pair: string): Promise<void> {}

  // @ts-expect-error the page may be left out of the event, and not of the call
  @Follows({ on: 'moved', args: ({ data }: Event) => [data.page] })
  @Cached({ domain: 'rates' })
  async maybeUndefined(_page: number): Promise<void> {}

  // @ts-expect-error arguments are a list
  @Follows({ on: 'moved', args: ({ data }: Event) => data.pair })
  @Cached({ domain: 'rates' })
  async noList(_pair: string): Promise<void> {}

  // @ts-expect-error an event brings no value
  @Follows({ on: 'moved', args: ({ data }: Event) => [data.pair], action: 'update' })
  @Cached({ domain: 'rates' })
  async update(_pair: string): Promise<void> {}
}
