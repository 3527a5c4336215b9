import { source } from '../../plan/source.ts'
import { sourceOptions } from '../../plan/source-options.ts'
import type { Stream } from '../../plan/stream.ts'
import type { Catalog } from '../catalog.ts'
import { declared, type ListedColumn, readColumn } from '../column-list.ts'
import { readInterval } from '../interval.ts'
import type { Reader } from '../reader.ts'
import { begun } from '../rows.ts'
import { sqlError } from '../sql-error.ts'
import { called, readWith } from '../with-options.ts'
import { keepOutOfPlan } from './keep-out-of-plan.ts'
import { nameRelation } from './named.ts'
import { objectOptions } from './object-options.ts'

interface Watermark {
  readonly time: string
  readonly delay?: string
  readonly at: number
}

/** `CREATE SOURCE name (column TYPE, WATERMARK FOR c AS c - INTERVAL '1 day') WITH (objects = '...', ...)` */
export function createSource(reader: Reader, catalog: Catalog): void {
  const name = reader.name('the name of the source, as in CREATE SOURCE trips (zone BIGINT) WITH (...)')
  const columns: ListedColumn[] = []
  let watermark: Watermark | undefined
  reader.expect('(', `( and the columns behind ${name.value}`)
  while (!reader.take(')')) {
    if (reader.isAt('WATERMARK', 'FOR')) {
      if (watermark) reader.fail('one WATERMARK')
      watermark = readWatermark(reader)
    } else columns.push(readColumn(reader, `source ${name.value}`))
    if (!reader.isAt(')')) reader.expect(',', ', or ) behind a column')
  }
  const given = readWith(reader, catalog)
  const at = { what: `source ${name.value}`, from: name.from }
  const read = objectOptions(catalog, at, sourceOptions, given)
  const options = { ...read, columns: declared(reader, columns), ...timeOf(catalog, watermark, read) }
  const rows = begun(
    catalog.file,
    watermark?.at ?? name.from,
    () => called(catalog.file, name.from, given, () => source(name.value, options as never)) as Stream<unknown>,
  )
  keepOutOfPlan(catalog, at, given, rows.node.options)
  nameRelation(catalog, name, { is: 'rows', what: 'source', name: name.value, rows })
}

/** `WATERMARK FOR at AS at - INTERVAL '1 day'` */
function readWatermark(reader: Reader): Watermark {
  const { from } = reader.next()
  reader.next()
  const time = reader.name('the column of the event time behind WATERMARK FOR').value
  const form = `AS ${time} - INTERVAL '1 day'`
  reader.expect('AS', form)
  const again = reader.name(`${time} again, as in ${form}`)
  if (again.value.toLowerCase() !== time.toLowerCase())
    throw sqlError(
      reader.file,
      again.from,
      `the watermark of ${time} is made of ${time} itself; expected WATERMARK FOR ${time} ${form}.`,
    )
  return { time, delay: reader.take('-') ? readInterval(reader) : '0 seconds', at: from }
}

/** The event time, of WATERMARK or of `time`, and how far behind rows may come. */
function timeOf({ file }: Catalog, found: Watermark | undefined, read: Readonly<Record<string, unknown>>): object {
  const given = read.watermark as object | undefined
  if (found && read.time !== undefined)
    throw sqlError(file, found.at, 'the event time is given twice; expected WATERMARK FOR, or the option time.')
  if (found) return { time: found.time, watermark: { ...given, delay: found.delay } }
  return {}
}
