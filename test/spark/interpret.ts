/**
 * Runs a portable plan with DuckDB alone, as docs/internals/formats/portable-plan.md says: nothing of the engine, no
 * queries but the plan's. Each object by itself, partial rows in parts by the hash of their keys.
 */
import { type DuckDBConnection, DuckDBInstance, type DuckDBValue, version } from '@duckdb/node-api'
import type {
  PortableCast,
  PortableChannel,
  PortablePlan,
  PortableQuery,
  PortableSource,
  PortableStage,
} from '../../src/spark/portable-plan.ts'

export interface PlannedObject {
  readonly source: string
  readonly key: string
  readonly file: string
  /** Of the times that may move its high mark, where the source bounds them. */
  readonly bounds?: { readonly bounds_from: bigint; readonly bounds_to: bigint }
}

export interface Interpretation {
  /** Rows of each flow, as DuckDB writes them as text, without an order. */
  readonly flows: Readonly<Record<string, readonly Row[]>>
  readonly late: number
  /** Rows that do not fit, and those without a time. */
  readonly aside: number
}

type Row = Readonly<Record<string, string | null>>
type Us = bigint | null

const id = (name: string) => `"${name.replaceAll('"', '""')}"`
const quoted = (value: string) => `'${value.replaceAll("'", "''")}'`
const later = (a: Us, b: Us): Us => (a === null || b === null ? (a ?? b) : a > b ? a : b)

/**
 * @param epochs objects in the ledger's order, cut anywhere
 * @param lookups SQL of the rows of each lookup, whose only version is the first entry
 * @param parts into which the partial rows of a stage are parted
 */
export async function interpret(
  plan: PortablePlan,
  epochs: readonly (readonly PlannedObject[])[],
  parts: number,
  lookups: Readonly<Record<string, string>> = {},
): Promise<Interpretation> {
  if (version() !== plan.duckdb) throw new Error(`expected DuckDB ${plan.duckdb}, this is ${version()}`)
  const instance = await DuckDBInstance.create(':memory:', { threads: '2', memory_limit: '1GB' })
  try {
    const run = new Run(plan, parts, await instance.connect())
    await run.begin(lookups)
    for (const epoch of epochs) await run.epoch(epoch)
    await run.flush()
    return { flows: run.given, late: run.late, aside: run.aside }
  } finally {
    instance.closeSync()
  }
}

class Run {
  readonly given: Record<string, Row[]> = {}
  late = 0
  aside = 0
  #seq = 0
  readonly #watermarks = new Map<string, Us>()
  readonly #highMarks = new Map<string, Us>()
  readonly #clocks = new Map<string, Us>()
  readonly #plan: PortablePlan
  readonly #parts: number
  readonly #db: DuckDBConnection

  constructor(plan: PortablePlan, parts: number, db: DuckDBConnection) {
    this.#plan = plan
    this.#parts = parts
    this.#db = db
  }

  async #rows(sql: string, values?: Record<string, DuckDBValue>) {
    const reader = await this.#db.runAndReadAll(sql, values)
    return reader.getRowObjects()
  }

  async #one(query: PortableQuery, values: Record<string, Us>): Promise<Record<string, DuckDBValue>> {
    const [row] = await this.#rows(query.sql, only(query, values))
    return row ?? {}
  }

  async #table(name: string, sql: string, values?: Record<string, DuckDBValue>): Promise<void> {
    await this.#db.run(`CREATE OR REPLACE TABLE ${name} AS ${sql}`, values)
  }

  async begin(lookups: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, value] of Object.entries(this.#plan.settings))
      await this.#db.run(`SET GLOBAL ${name} = ${quoted(value)}`)
    for (const { name, relation, versions, columns } of this.#plan.lookups) {
      const items = Object.entries(columns).map(
        ([column, type]) => `CAST(${id(column)} AS ${type.replace(' NOT NULL', '')}) AS ${id(column)}`,
      )
      const seq = this.#seq++
      await this.#table(
        relation,
        `SELECT CAST(${seq} AS BIGINT) AS _version, ${items.join(', ')} FROM (${lookups[name]})`,
      )
      await this.#table(versions, `SELECT CAST(${seq} AS BIGINT) AS seq`)
    }
    for (const { channels } of this.#plan.stages)
      for (const { relation, columns } of channels) {
        const items = Object.entries(columns).map(([column, type]) => `${id(column)} ${type}`)
        for (const kind of ['state', 'own'])
          await this.#db.run(`CREATE TABLE ${kind}_${relation} (${items.join(', ')})`)
      }
  }

  async epoch(objects: readonly PlannedObject[]): Promise<void> {
    const entries: Entry[] = []
    const from = new Map(this.#clocks)
    for (const object of objects) {
      const source = this.#plan.sources.find(({ name }) => name === object.source) as PortableSource
      const seq = this.#seq++
      const high = await this.#read(source, object, seq)
      const before = new Map(this.#clocks)
      this.#mark(source, high)
      this.#advance()
      entries.push({ seq, source, before, after: new Map(this.#clocks) })
    }
    for (const stage of this.#plan.stages) {
      await this.#fold(stage, entries)
      await this.#emit(stage, from.get(stage.id) ?? null, this.#clocks.get(stage.id) ?? null)
      await this.#place(stage, entries)
    }
    await this.#give(entries)
  }

  /** One entry, whose value each stage finds in its own partial rows. */
  async flush(): Promise<void> {
    const before = new Map(this.#clocks)
    const entry = { seq: this.#seq++, source: undefined, before, after: new Map(before) }
    const limits = new Map<string, Us>()
    for (const stage of this.#plan.stages) {
      await this.#fold(stage, [entry])
      const limit = stage.clock.inputs
        .map(input => (input.is === 'source' ? this.#highMarks.get(input.source) : limits.get(input.stage)) ?? null)
        .reduce(later, null)
      const value = limit === null ? null : await this.#flushValue(stage, limit)
      this.#advanceStage(stage, value)
      entry.after.set(stage.id, this.#clocks.get(stage.id) ?? null)
      await this.#emit(stage, before.get(stage.id) ?? null, this.#clocks.get(stage.id) ?? null)
      await this.#place(stage, [entry])
      if (limit === null) continue
      const { flush_limit: given } = await this.#one(stage.flushLimit, { limit })
      limits.set(stage.id, later(limit, (given ?? null) as Us))
    }
    await this.#give([entry])
  }

  /** The rows of an object by value, and its high mark. */
  async #read(source: PortableSource, { file, key, bounds }: PlannedObject, seq: number): Promise<Us> {
    await this.#table('typed_rows', await this.#typed(source, file, key, seq))
    const counts = await this.#one(source.mark, { ...bounds })
    this.aside += Number(counts.bad) + Number(counts.timeless)
    await this.#table(`object_${seq}`, source.rows)
    return (counts.high_mark ?? null) as Us
  }

  async #typed({ columns }: PortableSource, file: string, key: string, seq: number): Promise<string> {
    const from = `read_parquet(${quoted(file)}, file_row_number = true, hive_partitioning = false)`
    const own = await this.#rows(`DESCRIBE SELECT * EXCLUDE (file_row_number) FROM ${from}`)
    const raw: string[] = []
    const values: string[] = []
    const misfits: string[] = []
    for (const [index, column] of columns.entries()) {
      const found = own.find(({ column_name: name }) => name === column.from) ?? onlyAlike(own, column.from)
      const [written, physical] =
        column.of === 'object'
          ? [quoted(key), 'VARCHAR']
          : found
            ? [id(String(found.column_name)), String(found.column_type)]
            : [column.ifMissing, column.type]
      if (written === null) throw new Error(`${key} has no column ${column.from}`)
      const isConstant = column.of === 'rows' && !found
      const cast = isConstant ? { value: '{raw}', misfit: null } : castOf(this.#plan.casts[column.type] ?? [], physical)
      const put = (sql: string) => sql.replaceAll('{raw}', `_r${index}`).replaceAll('{value}', `_v${index}`)
      raw.push(`${written} AS _r${index}`)
      values.push(`${put(cast.value)} AS _v${index}`)
      misfits.push(`${cast.misfit === null ? 'FALSE' : put(cast.misfit)} AS _m${index}`)
    }
    const read = `SELECT CAST(${seq} AS BIGINT) AS _seq, file_row_number AS _row, ${raw.join(', ')} FROM ${from}`
    return `SELECT *, ${misfits.join(', ')} FROM (SELECT *, ${values.join(', ')} FROM (${read}))`
  }

  #mark({ name, delayUs }: PortableSource, high: Us): void {
    this.#highMarks.set(name, later(this.#highMarks.get(name) ?? null, high))
    if (high === null || delayUs === null) return
    this.#watermarks.set(name, later(this.#watermarks.get(name) ?? null, high - BigInt(delayUs)))
  }

  #advance(): void {
    for (const stage of this.#plan.stages) this.#advanceStage(stage, null)
  }

  #advanceStage({ id: stage, clock }: PortableStage, flush: Us): void {
    const inputs = clock.inputs.map(input => {
      if (input.is === 'source') return this.#watermarks.get(input.source) ?? null
      const upstream = this.#clocks.get(input.stage) ?? null
      return upstream === null ? null : upstream - BigInt(input.holdUs)
    })
    const lowest = inputs.reduce((a, b) => (a === null || b === null ? null : a < b ? a : b))
    this.#clocks.set(stage, later(later(this.#clocks.get(stage) ?? null, lowest), flush))
  }

  /** The clock of a stage, and what it reads: one object of the epoch, or all, or what stages have given. */
  async #provide(objects: readonly Entry[]): Promise<void> {
    for (const { name, relation } of this.#plan.sources) {
      const own = objects.filter(({ source }) => source?.name === name).map(({ seq }) => `FROM object_${seq}`)
      if (own.length > 0) await this.#table(relation, own.join(' UNION ALL '))
      else await this.#table(relation, `${await this.#emptyRows(relation)}`)
    }
  }

  async #emptyRows(relation: string): Promise<string> {
    const { columns, name } = this.#plan.sources.find(source => source.relation === relation) as PortableSource
    const hidden = ['_seq', '_row', '_time'].map(column => `CAST(NULL AS BIGINT) AS ${column}`)
    const items = columns.map(column => `CAST(NULL AS ${column.type}) AS ${id(column.name)}`)
    if (columns.length === 0) throw new Error(`source ${name} has no columns`)
    return `SELECT ${[...hidden, ...items].join(', ')} WHERE FALSE`
  }

  async #fold(stage: PortableStage, entries: readonly Entry[]): Promise<void> {
    const { channels, late, isByRow, reads } = stage
    await this.#clock(stage, entries)
    for (const { relation } of channels) await this.#db.run(`DELETE FROM own_${relation}`)
    const isOfObjects = reads.every(name => name.startsWith('rows_') || name.startsWith('lookup_'))
    const objects = entries.filter(({ source }) => source !== undefined)
    const pieces = isOfObjects && isByRow ? objects.map(object => [object]) : [objects]
    for (const piece of pieces) {
      await this.#provide(piece)
      for (const { relation, columns, partial } of channels) {
        const items = Object.keys(columns).map(id).join(', ')
        await this.#db.run(`INSERT INTO own_${relation} SELECT ${items} FROM (${partial})`)
      }
      const [found] = await this.#rows(`SELECT count(*) AS n FROM (${late.sql})`)
      this.late += Number(found?.n)
    }
  }

  async #clock({ id: stage, clock }: PortableStage, entries: readonly Entry[]): Promise<void> {
    const us = (value: Us | undefined) => `CAST(${value ?? 'NULL'} AS BIGINT)`
    const rows = entries.map(({ seq, before, after }) => `(${seq}, ${us(before.get(stage))}, ${us(after.get(stage))})`)
    await this.#table(clock.relation, `FROM (VALUES ${rows.join(', ')}) AS c(seq, before, after)`)
  }

  /** What becomes final, part by part, and what of the partial rows stays. */
  async #emit(stage: PortableStage, from: Us, to: Us): Promise<void> {
    const { emission, channels, partedBy } = stage
    const columns = [...emission.hidden, ...Object.keys(emission.columns)]
    const isGiving = to !== null && to !== from
    const query = from === null ? emission.first : emission.next
    const all = partedBy.length === 0 ? 1 : this.#parts
    const hash = partedBy.length === 0 ? '0' : `hash(${partedBy.map(id).join(', ')}) % ${all}`
    let isFirst = true
    for (const { relation } of channels) await this.#table(`next_${relation}`, `FROM own_${relation} WHERE FALSE`)
    for (const part of await this.#usedParts(channels, hash)) {
      for (const channel of channels) await this.#part(channel, hash, part, to)
      if (!isGiving) continue
      const sql = `SELECT ${columns.map(id).join(', ')} FROM (${query.sql})`
      if (isFirst) await this.#table(emission.relation, sql, only(query, { from, to }))
      else await this.#db.run(`INSERT INTO ${emission.relation} ${sql}`, only(query, { from, to }))
      isFirst = false
    }
    if (isFirst) {
      for (const { relation } of channels) await this.#table(relation, `FROM own_${relation} WHERE FALSE`)
      await this.#table(
        emission.relation,
        `SELECT ${columns.map(id).join(', ')} FROM (${emission.first.sql})`,
        only(emission.first, { to: to ?? 0n }),
      )
    }
    for (const { relation } of channels) await this.#table(`state_${relation}`, `FROM next_${relation}`)
  }

  async #usedParts(channels: readonly PortableChannel[], hash: string): Promise<readonly number[]> {
    const used = channels.flatMap(({ relation }) =>
      ['state', 'own'].map(kind => `SELECT ${hash} AS part FROM ${kind}_${relation}`),
    )
    const rows = await this.#rows(`SELECT DISTINCT part FROM (${used.join(' UNION ALL ')}) ORDER BY part`)
    return rows.map(({ part }) => Number(part))
  }

  async #part({ relation, merge, life }: PortableChannel, hash: string, part: number, to: Us): Promise<void> {
    const both = `SELECT * FROM state_${relation} UNION ALL SELECT * FROM own_${relation}`
    await this.#table(relation, `SELECT * FROM (${both}) WHERE ${hash} = ${part}`)
    await this.#table('merged', merge)
    await this.#db.run(`DROP TABLE ${relation}`)
    await this.#db.run(`ALTER TABLE merged RENAME TO ${relation}`)
    const isAlive = to === null ? 'TRUE' : `${life.closesAt} > ${to}`
    await this.#db.run(`INSERT INTO next_${relation} BY NAME SELECT * FROM ${relation} WHERE ${isAlive}`)
  }

  async #flushValue({ channels }: PortableStage, limit: bigint): Promise<Us> {
    let largest: Us = null
    for (const { relation, flushAt } of channels) {
      if (flushAt === null) continue
      await this.#table(relation, `SELECT * FROM state_${relation} UNION ALL SELECT * FROM own_${relation}`)
      const { flush_at: found } = await this.#one(flushAt, { limit })
      largest = later(largest, (found ?? null) as Us)
    }
    return largest
  }

  /** Results at their places in the ledger. */
  async #place(stage: PortableStage, entries: readonly Entry[]): Promise<void> {
    await this.#clock(stage, entries)
    await this.#table(stage.given.relation, stage.given.sql)
  }

  async #give(entries: readonly Entry[]): Promise<void> {
    const objects = entries.filter(({ source }) => source !== undefined)
    await this.#provide(objects)
    for (const { name, sql, columns } of this.#plan.flows) {
      const items = Object.keys(columns).map(column => `CAST(${id(column)} AS VARCHAR) AS ${id(column)}`)
      const rows = await this.#rows(`SELECT ${items.join(', ')} FROM (${sql})`)
      this.given[name] = [...(this.given[name] ?? []), ...(rows as Row[])]
    }
    for (const { seq } of objects) await this.#db.run(`DROP TABLE object_${seq}`)
  }
}

interface Entry {
  readonly seq: number
  /** Of an object. */
  readonly source: PortableSource | undefined
  /** Of each stage. */
  readonly before: Map<string, Us>
  readonly after: Map<string, Us>
}

/** DuckDB refuses parameters that a query does not have. */
function only({ parameters }: PortableQuery, values: Record<string, Us>): Record<string, DuckDBValue> | undefined {
  if (parameters.length === 0) return undefined
  return Object.fromEntries(parameters.map(name => [name, values[name] ?? null]))
}

function onlyAlike(own: readonly Record<string, DuckDBValue>[], name: string) {
  const alike = own.filter(column => String(column.column_name).toLowerCase() === name.toLowerCase())
  return alike.length === 1 ? alike[0] : undefined
}

/** The first rule that the type fits, with what is its own put in. */
export function castOf(
  casts: readonly PortableCast[],
  type: string,
): { readonly value: string; readonly misfit: string | null } {
  const [, digits, scale, list] = (/^DECIMAL\((\d+),(\d+)\)(\[\])?$/.exec(type) ?? []).map(part => part ?? '')
  const rule = casts.find(({ types, decimals }) => {
    if (types) return types.includes(type)
    return (
      digits !== undefined &&
      decimals !== undefined &&
      Number(digits) >= decimals.from &&
      Number(digits) <= decimals.to &&
      decimals.isList === (list !== '')
    )
  })
  if (!rule) throw new Error(`no rule for ${type}`)
  const decimal = `DECIMAL(${digits},${scale})`
  const most = `0${'9'.repeat(Number(digits ?? 0) - Number(scale ?? 0))}.${'9'.repeat(Number(scale ?? 0))}0`
  const put = (sql: string) =>
    sql.replaceAll('{decimal}', decimal).replaceAll('{most}', most).replaceAll('{type}', type)
  if ('impossible' in rule) throw new Error(put(rule.impossible))
  return { value: put(rule.value), misfit: rule.misfit === null ? null : put(rule.misfit) }
}
