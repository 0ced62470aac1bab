/** A span of time: a number is milliseconds, a string carries its unit: `'250ms' '30s' '5m' '1h' '1d'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** The longest span that is accepted: what fits into an entry's 32-bit windows (about 49 days). */
export const MAX_DURATION_MS = 2 ** 32 - 1;

/** Milliseconds (whole, rounded), or `undefined` when `input` is no duration. */
export function parseDuration(input: unknown): number | undefined {
  const ms = typeof input === 'number' ? input : typeof input === 'string' ? fromText(input) : undefined;
  return ms !== undefined && Number.isFinite(ms) && ms >= 0 && ms <= MAX_DURATION_MS ? Math.round(ms) : undefined;
}

function fromText(text: string): number | undefined {
  const match = /^(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h|d)$/.exec(text);
  return match ? Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS] : undefined;
}

/** For people: `90000` becomes `1.5m`. */
export function formatDuration(ms: number): string {
  for (const [unit, size] of Object.entries(UNIT_MS).toReversed()) {
    if (ms >= size) return `${Number((ms / size).toFixed(2))}${unit}`;
  }
  return `${ms}ms`;
}
