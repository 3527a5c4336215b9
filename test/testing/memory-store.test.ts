import { createMemoryStore } from '../../src/testing/index.ts'
import { describeObjectStore } from '../contracts/object-store.ts'

describeObjectStore('memory', { create: async () => createMemoryStore(), isWriteOnce: false })
