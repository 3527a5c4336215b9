import { createObject } from '../../checkpoints/objects.ts'
import type { Executor, ObjectStore, WrittenFile } from '../../src/core/ports.ts'
import type { SinkContext } from '../../src/plan/sink.ts'
import { type ColumnStatistics, type FileStatistics, fileStatistics } from '../lake/statistics.ts'
import { type AddFile, pathOf } from './actions.ts'
import type { Column } from './rows.ts'
import { storedType } from './types.ts'

/** Columns of a file that statistics are kept of: the first, as other writers do, and those of the key. */
const statisticsMax = 32

/** A data file of the table that no entry of the log names yet. */
export type NewFile = Omit<AddFile, 'modificationTime' | 'dataChange'>

/** `day=2024-03-31/millrace-00000012-00000003-<id>.parquet`: of epoch 12, written in term 3. */
export function dataKey(folder: string, epoch: number, term: number, id: string): string {
  const [of, by] = [epoch, term].map(number => String(number).padStart(8, '0'))
  return `${folder}millrace-${of}-${by}-${id}.parquet`
}

/** The term that wrote a data file of millrace; undefined of those of others. */
export function termOfKey(key: string): number | undefined {
  const term = /(?:^|\/)millrace-\d{8,}-(\d{8,})-[^/]+\.parquet$/.exec(key)?.[1]
  return term === undefined ? undefined : Number(term)
}

/** What a data file holds. */
export interface DataFile {
  readonly columns: readonly Column[]
  readonly partitionValues: NewFile['partitionValues']
  readonly key?: readonly string[] | undefined
}

/** Puts a local file under its name in the table, where nobody reads it before the log names it. */
export async function putDataFile(
  store: ObjectStore,
  executor: Executor,
  { file, bytes, sha256 }: WrittenFile,
  name: string,
  { columns: all, partitionValues, key = [] }: DataFile,
  sleep: SinkContext['sleep'],
): Promise<NewFile> {
  const columns = all.filter((column, index) => index < statisticsMax || key.includes(column.name))
  const statistics = await fileStatistics(executor, file, columns)
  await createObject(store, name, { bytes, sha256 }, () => store.put(name, { file }, 'absent'), sleep)
  return { path: pathOf(name), partitionValues, size: bytes, stats: statsOf(statistics, columns) }
}

/** Statistics as the log has them: JSON. Numbers keep all their digits. */
export function statsOf({ rows, columns: found }: FileStatistics, columns: readonly Column[]): string {
  const all = columns.map(column => [column, found[column.name] ?? {}] as const)
  const object = (entries: readonly (readonly [name: string, value: string | undefined])[]) => {
    const known = entries.filter(([, value]) => value !== undefined)
    return `{${known.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(',')}}`
  }
  const bounds = (bound: 'min' | 'max') =>
    object(all.map(([column, own]) => [column.name, boundOf(column, own, bound)]))
  const nulls = object(all.map(([{ name }, own]) => [name, own.nulls === undefined ? undefined : String(own.nulls)]))
  return `{"numRecords":${rows},"minValues":${bounds('min')},"maxValues":${bounds('max')},"nullCount":${nulls}}`
}

/** Characters of a text that its bound has: as other writers cut it. */
const textMax = 32
const greatest = '\u{10ffff}'

function boundOf({ type }: Column, own: ColumnStatistics, bound: 'min' | 'max'): string | undefined {
  const value = own[bound]
  if (value === undefined || type.list) return undefined
  const stored = storedType(type)
  if (stored === 'VARCHAR') {
    const characters = [...value]
    const cut = characters.slice(0, textMax).join('')
    if (characters.length <= textMax) return JSON.stringify(value)
    // What begins with the same characters is less than they and the greatest of all.
    return JSON.stringify(bound === 'min' ? cut : `${cut}${greatest}`)
  }
  if (stored === 'DATE') return /^\d{4}-\d\d-\d\d$/.test(value) ? JSON.stringify(value) : undefined
  if (stored === 'TIMESTAMP' || stored === 'TIMESTAMPTZ') return timeBound(value, bound, stored === 'TIMESTAMPTZ')
  return /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(value) ? value : undefined
}

/** To the millisecond, as the protocol has it, and outwards, for readers who take it as it is. */
function timeBound(value: string, bound: 'min' | 'max', isUtc: boolean): string | undefined {
  const parts = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(?:\+00)?$/.exec(value)
  if (!parts) return undefined
  const micros = (parts[3] ?? '').padEnd(6, '0')
  const whole = Date.parse(`${parts[1]}T${parts[2]}.${micros.slice(0, 3)}Z`)
  const isCut = Number(micros.slice(3)) > 0
  const text = new Date(bound === 'max' && isCut ? whole + 1 : whole).toISOString()
  return JSON.stringify(isUtc ? text : text.slice(0, -1))
}
