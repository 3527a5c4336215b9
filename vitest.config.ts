import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { ClosingLine } from './test/reporter/closing-line.ts'

export default defineConfig({
  // The package by its own name, as pipelines import it.
  resolve: { alias: { millrace: fileURLToPath(new URL('src/index.ts', import.meta.url)) } },
  test: {
    environment: 'node',
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/setup.ts'],
    globalSetup: ['test/built.ts'],
    // DuckDB is a native module with threads of its own: a process a file keeps one file's crash out of the others.
    pool: 'forks',
    // Vitest leaves a core free. A file more than there are cores runs while others wait for servers and processes.
    maxWorkers: Math.max(availableParallelism(), 2) + 1,
    // For what hangs. A busy machine takes minutes for what takes seconds alone, and that is no fault.
    // A longer search (MILLRACE_RUNS) ends when it is done.
    testTimeout: process.env.MILLRACE_RUNS === undefined ? 300_000 : 0,
    hookTimeout: 300_000,
    reporters: ['default', new ClosingLine()],
  },
})
