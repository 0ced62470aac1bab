export interface Offer {
  readonly id: string;
  readonly title: string;
  readonly text: string;
  readonly price: number;
  readonly tags: readonly string[];
}

/** About 300 bytes of JSON. */
export function valueOf(id: string): Offer {
  return { id, title: `Offer ${id}`, text: 'x'.repeat(180), price: 12.5, tags: ['gold', 'spring', 'online'] };
}

export const KEYS: readonly string[] = Array.from({ length: 1_000 }, (_, i) => `offer-${i}`);
