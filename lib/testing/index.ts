export { ChaosStore, type Fault, type StoreOperation } from './chaos-store.js';
export { eventSourceContract, type EventSourceCase, type EventSourceHarness } from './event-source-contract.js';
export { FakeClock } from './fake-clock.js';
export { storeContract, type ContractCase, type StoreHarness } from './store-contract.js';
