import type { Signal } from '../core/store.js';
import type { Trust } from '../core/trust.js';
import type { EngineParts } from './engine-parts.js';
import type { Flights } from './flights.js';

/** Where each thing goes that the store says: memory first, so that no flight lands on what is no longer so. */
export function signalHandler(
  { near, health, hub }: Pick<EngineParts, 'near' | 'health' | 'hub'>,
  trust: Trust,
  flights: Flights,
): (signal: Signal) => void {
  return (signal) => {
    switch (signal.kind) {
      case 'invalidated':
      case 'replaced':
        near.drop(signal.key);
        return flights.onSignal(signal);
      case 'advanced':
        near.dropCarriers(signal.generation);
        return flights.onSignal(signal);
      case 'released':
        return flights.onSignal(signal);
      case 'heard':
        return trust.heard(signal.beat);
      case 'gap':
        trust.lost();
        return flights.recheck();
      case 'lost':
        health.lost(signal.over);
        return flights.recheck();
      case 'advice':
        return hub.emit({ type: 'advice', code: signal.code, text: signal.text });
    }
  };
}
