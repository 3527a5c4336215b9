import { join } from 'node:path'
import { installed } from './installed.ts'

/** A Python with Spark, and with all that `src/spark/runner` imports. Java is the machine's. */
export interface SparkPython {
  /** The interpreter. */
  readonly python: string
  stop(): Promise<void>
}

export async function openSparkPython(): Promise<SparkPython> {
  return { python: join(await installed('spark'), 'bin', 'python'), stop: async () => {} }
}
