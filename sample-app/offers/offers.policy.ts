import type { DomainPolicies } from 'nestjs-cache-guard';
import type { Source } from '../source/source.js';

/** Asks a provider for versions, so it is registered where providers can be injected: in `forRootAsync`. */
export function offersPolicy(source: Source): DomainPolicies {
  return {
    offers: {
      freshness: 'experience',
      softTtl: '10s',
      hardTtl: '2m',
      stalePolicy: 'while-revalidate',
      reconcile: { every: '30s', versions: (segments) => currentRevisions(source, segments.map(String)) },
      owner: 'Growth',
      because: 'An offer that is seconds late costs nothing; a slow start page costs customers.',
    },
  };
}

async function currentRevisions(source: Source, segments: readonly string[]): Promise<(bigint | undefined)[]> {
  const rows = await source.probe<{ segment: string; revision: number }>(
    'select segment, revision from bank_dashboard.segments where segment = any($1)',
    [segments],
  );
  const known = new Map(rows.map(({ segment, revision }) => [segment, BigInt(revision)]));
  return segments.map((segment) => known.get(segment));
}
