import { randomUUID } from 'node:crypto'
import { link, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MillraceError } from '../../../src/core/errors.ts'
import { place } from '../../../src/core/option-kinds.ts'
import { type OptionTable, readCall } from '../../../src/core/options.ts'
import type { SqlRow } from '../../../src/core/ports.ts'
import type { SinkPort } from '../../../src/core/sink-port.ts'
import type { Sink, SinkKind } from '../../../src/plan/sink.ts'

// A sink as CONTRIBUTING describes one: a table whose transactions hold rows and `through` together. All of it lies here.

const tableOptions = {
  uri: { kind: place, isRequired: true, isPositional: true, about: 'The folder of the table.' },
} satisfies OptionTable<{ readonly uri: string }>

export function table(uri: string): Sink<unknown> {
  return { sink: 'table', ...readCall('table', tableOptions, [uri], {}) }
}

export const tableKind: SinkKind = {
  kind: 'table',
  call: 'table(...)',
  open: async ({ uri }, { checkpointId }) => openTable(uri, checkpointId),
}

/** What a transaction leaves. Each is a file of its own, `<number>.json`: who links it first has committed. */
export interface TableState {
  readonly owner: string
  readonly term: number
  readonly through: number
  /** In the order of their epochs. */
  readonly rows: readonly (SqlRow & { readonly epoch: number })[]
}

/** One call to the target. */
export type Around = <T>(call: () => Promise<T>) => Promise<T>

/** @param around each call to the target, for tests that break some */
export function openTable(uri: string, checkpointId: string, around: Around = call => call()): SinkPort {
  const newest = () => around(() => readTable(uri))

  /** One transaction on what the newest holds, again where another one came first. */
  async function change<T>(
    make: (state: TableState | undefined) => Promise<{ readonly next?: TableState; readonly result: T }>,
  ): Promise<T> {
    for (;;) {
      const { number, state } = await newest()
      const { next, result } = await make(state)
      if (!next || (await around(() => commit(uri, number + 1, next)))) return result
    }
  }

  function checkOwner(state: TableState | undefined, isNewCheckpoint: boolean): void {
    if (state ? state.owner === checkpointId : isNewCheckpoint) return
    throw state
      ? new MillraceError(
          'user',
          'output-owned',
          `${uri} belongs to checkpoint ${state.owner}, not to ${checkpointId}.`,
        )
      : new MillraceError(
          'user',
          'output-missing',
          `${uri} is gone, but checkpoint ${checkpointId} has committed rows.`,
        )
  }

  return {
    address: uri,
    isOrdered: true,
    async check(isNewCheckpoint) {
      checkOwner((await newest()).state, isNewCheckpoint)
    },
    own: (isNewCheckpoint, term) =>
      change(async state => {
        checkOwner(state, isNewCheckpoint)
        checkTerm(uri, state, term)
        const { through = 0, rows = [] } = state ?? {}
        return { next: { owner: checkpointId, term, through, rows }, result: undefined }
      }),
    through: async () => (await newest()).state?.through ?? 0,
    publish: ({ term, epoch, rows }) =>
      change(async state => {
        checkTerm(uri, state, term)
        checkOwner(state, false)
        const { through, ...rest } = state as TableState
        if (through >= epoch) return { result: 'already' }
        const added: (SqlRow & { readonly epoch: number })[] = []
        for await (const some of rows()) added.push(...some.map(row => ({ epoch, ...row })))
        return { next: { ...rest, through: epoch, rows: [...rest.rows, ...added] }, result: 'published' }
      }),
    orphans: async () => 0,
  }
}

function checkTerm(uri: string, state: TableState | undefined, term: number): void {
  if (state && state.term > term)
    throw new MillraceError(
      'fenced',
      'fenced',
      `${uri} was taken by term ${state.term}; this process has term ${term}.`,
    )
}

/** As anybody reads it. @throws MillraceError `retry` while a file `away` lies there: the target is away */
export async function readTable(uri: string): Promise<{ readonly number: number; readonly state?: TableState }> {
  const names: readonly string[] = await readdir(uri).catch(() => [])
  if (names.includes('away')) throw new MillraceError('retry', 'simulated', `${uri} does not answer.`)
  const number = Math.max(0, ...names.flatMap(name => (/^\d+\.json$/.test(name) ? [Number.parseInt(name, 10)] : [])))
  if (number === 0) return { number }
  return { number, state: JSON.parse(await readFile(join(uri, `${number}.json`), 'utf8')) as TableState }
}

export async function setAway(uri: string, isAway: boolean): Promise<void> {
  await mkdir(uri, { recursive: true })
  if (isAway) await writeFile(join(uri, 'away'), '')
  else await rm(join(uri, 'away'), { force: true })
}

/** False where another transaction has the number. */
async function commit(uri: string, number: number, state: TableState): Promise<boolean> {
  await mkdir(uri, { recursive: true })
  const temporary = join(uri, `${randomUUID()}.new`)
  const text = (_name: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value)
  await writeFile(temporary, JSON.stringify(state, text))
  try {
    await link(temporary, join(uri, `${number}.json`))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    await rm(temporary)
  }
}
