/** Proven by the type checker: each `@ts-expect-error` fails the check when its line compiles. */
import type { DomainEvent, EventRule, KeyPart } from 'nestjs-cache-guard';

interface OfferChanged {
  readonly segment: string;
  readonly revision: number;
}

const base = { on: 'offer.changed', domain: 'offers' } as const;
const key = (event: DomainEvent<OfferChanged>): string => event.data.segment;
const version = (event: DomainEvent<OfferChanged>): number => event.data.revision;
const value = (event: DomainEvent<OfferChanged>): OfferChanged => event.data;

// What compiles
export const rules: readonly EventRule[] = [
  { ...base, key },
  { ...base, on: ['offer.changed', 'offer.gone'], from: ['in-process', 'offers-stream'], mode: 'remove', key },
  { ...base, key, name: 'Offers.find', version: (event) => (event.subject ? 1n : undefined) },
  { ...base, key: () => undefined },
  { ...base, keys: () => ['gold', ['silver', 1]], action: 'refresh' },
  { ...base, key, action: 'update', value, version },
  { ...base, keys: () => ['gold'], action: 'update', value: () => null, version },
  { ...base, tags: () => ['metal'], action: 'invalidate', mode: 'purge' },
  { ...base, all: true },
  // An event's data are no promise, whatever they are.
  { ...base, key, action: 'update', value: (event) => event.data, version },
  { ...base, key, action: 'update', value: () => new Map([['gold', [1n, new Date()]]]), version },
  { ...base, key, action: 'update', value: (event: DomainEvent<Record<string, unknown>>) => event.data, version },
  { ...base, key: (): KeyPart => ({ segment: 'gold' }) },
  { ...base, keys: (): readonly KeyPart[] => [new Date()] },
];

// What does not: without a target, or with more than one
// @ts-expect-error: no target
void (base satisfies EventRule);
// @ts-expect-error: two targets
void ({ ...base, key, keys: () => ['gold'] } satisfies EventRule);
// @ts-expect-error: two targets
void ({ ...base, key, tags: () => ['metal'] } satisfies EventRule);
// @ts-expect-error: two targets
void ({ ...base, key, all: true } satisfies EventRule);
// @ts-expect-error: two targets
void ({ ...base, tags: () => ['metal'], all: true } satisfies EventRule);
// @ts-expect-error: all is true or left out
void ({ ...base, all: false } satisfies EventRule);

// without what every rule has, or with what none has
// @ts-expect-error: no event type
void ({ domain: 'offers', key } satisfies EventRule);
// @ts-expect-error: no domain
void ({ on: 'offer.changed', key } satisfies EventRule);
// @ts-expect-error: misspelt
void ({ ...base, key, versions: version } satisfies EventRule);
// @ts-expect-error: no such action
void ({ ...base, key, action: 'purge' } satisfies EventRule);
// @ts-expect-error: no such mode
void ({ ...base, key, mode: 'erase' } satisfies EventRule);
// @ts-expect-error: a function of the event
void ({ ...base, key: 'gold' } satisfies EventRule);
// @ts-expect-error: a list
void ({ ...base, keys: () => 'gold' } satisfies EventRule);
// @ts-expect-error: no key can be made of it
void ({ ...base, key: () => Symbol('gold') } satisfies EventRule);
// @ts-expect-error: tags are texts
void ({ ...base, tags: () => [1] } satisfies EventRule);
// @ts-expect-error: versions are whole numbers
void ({ ...base, key, version: () => '7' } satisfies EventRule);

// an update without its value or version, or a value without an update
// @ts-expect-error: no value
void ({ ...base, key, action: 'update', version } satisfies EventRule);
// @ts-expect-error: no version
void ({ ...base, key, action: 'update', value } satisfies EventRule);
// @ts-expect-error: an update always knows its version
void ({ ...base, key, action: 'update', value, version: () => undefined } satisfies EventRule);
// @ts-expect-error: a value goes with an update
void ({ ...base, key, value } satisfies EventRule);
// @ts-expect-error: a value goes with an update
void ({ ...base, key, action: 'refresh', value, version } satisfies EventRule);

// tags and all with what is of keys
// @ts-expect-error: tags have no version
void ({ ...base, tags: () => ['metal'], version } satisfies EventRule);
// @ts-expect-error: all has no version
void ({ ...base, all: true, version } satisfies EventRule);
// @ts-expect-error: nobody knows what a tag's values are loaded with
void ({ ...base, tags: () => ['metal'], action: 'refresh' } satisfies EventRule);
// @ts-expect-error: one value for all of a domain
void ({ ...base, all: true, action: 'update', value } satisfies EventRule);
// @ts-expect-error: a name is one of keys
void ({ ...base, tags: () => ['metal'], name: 'Offers.find' } satisfies EventRule);

// promises: nobody would wait for them
// @ts-expect-error: a promise of a key
void ({ ...base, key: async () => 'gold' } satisfies EventRule);
// @ts-expect-error: sometimes a promise of a key
void ({ ...base, key: ({ id, subject }) => subject ?? Promise.resolve(id) } satisfies EventRule);
// @ts-expect-error: a promise of keys
void ({ ...base, keys: async () => ['gold'] } satisfies EventRule);
// @ts-expect-error: promises of keys
void ({ ...base, keys: () => ['gold'].map(async (one) => one) } satisfies EventRule);
// @ts-expect-error: a promise of tags
void ({ ...base, tags: async () => ['metal'] } satisfies EventRule);
// @ts-expect-error: a promise of a version
void ({ ...base, key, version: async () => 7n } satisfies EventRule);
// @ts-expect-error: a promise of a version
void ({ ...base, key, action: 'update', value, version: async () => 7n } satisfies EventRule);
// @ts-expect-error: a promise of a value
void ({ ...base, key, action: 'update', value: async (event) => event.data, version } satisfies EventRule);
// @ts-expect-error: what is unknown may be a promise
void ({ ...base, key, action: 'update', value: (): unknown => 1, version } satisfies EventRule);
