import type { DomainPolicies } from 'nestjs-cache-guard';
import type { Source } from '../source/source.js';

/** Asks a provider for versions, so it is registered where providers can be injected: in `forRootAsync`. */
export function cardsPolicy(source: Source): DomainPolicies {
  return {
    'card-controls': {
      freshness: 'critical',
      scope: 'private',
      softTtl: '10m',
      stalePolicy: 'validate',
      probe: (customer) => currentVersion(source, String(customer)),
      owner: 'Card Security',
      because: 'A blocked card is blocked now, whoever blocked it: every read asks the source for its version first.',
    },
  };
}

async function currentVersion(source: Source, customer: string): Promise<bigint | undefined> {
  const sql = 'select sum(version)::int as version from bank_dashboard.cards where customer_id = $1';
  const [row] = await source.probe<{ version: number | null }>(sql, [customer]);
  return row?.version == null ? undefined : BigInt(row.version);
}
