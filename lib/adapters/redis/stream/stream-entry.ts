import { isUtf8 } from 'node:buffer';

/** The field of an entry that holds the event. */
export const EVENT_FIELD = 'event';

/** One entry of a stream, as it was read. */
export interface StreamEntry {
  readonly id: string;
  /** Names and values by turns. */
  readonly fields: readonly Buffer[];
  /** How often it was handed out, this time included. */
  readonly count: number;
}

const NAME = Buffer.from(EVENT_FIELD);

/** The event in an entry, or why there is none. */
export function eventIn({ fields }: StreamEntry): { readonly event?: unknown; readonly undecodable?: string } {
  const at = fields.findIndex((field, i) => i % 2 === 0 && field.equals(NAME));
  const bytes = fields[at + 1];
  if (at === -1 || !bytes) return { undecodable: `the entry has no field '${EVENT_FIELD}'` };
  if (!isUtf8(bytes)) return { undecodable: `its field '${EVENT_FIELD}' is no text in UTF-8` };
  try {
    return { event: JSON.parse(bytes.toString()) as unknown };
  } catch {
    return { undecodable: `its field '${EVENT_FIELD}' is no JSON` };
  }
}
