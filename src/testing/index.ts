export { type CountedGet, type CountingStore, withCounts } from './counting-store.ts'
export { type Fault, type FaultOptions, type FaultyStore, withFaults } from './faulty-store.ts'
export { createMemoryStore } from './memory-store.ts'
export { seededRandom } from './random.ts'
