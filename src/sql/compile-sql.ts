import { connectors, formats, sinks } from '../../connectors/registry.ts'
import { calledAt } from '../core/call-site.ts'
import type { Executor } from '../core/ports.ts'
import { nearestName } from '../core/nearest.ts'
import { type Pipeline, pipeline } from '../plan/pipeline.ts'
import { type Catalog, createCatalog, NeedsFunction } from './catalog.ts'
import { knowingSteps } from './knowing-steps.ts'
import { createReader, type Reader, shown } from './reader.ts'
import { placed, siteOf, type SqlFile, sqlError } from './sql-error.ts'
import { createFunction } from './statements/create-function.ts'
import { createLookup } from './statements/create-lookup.ts'
import { createPipeline } from './statements/create-pipeline.ts'
import { createSink } from './statements/create-sink.ts'
import { createSource } from './statements/create-source.ts'
import { createView } from './statements/create-view.ts'
import { insertInto } from './statements/insert-into.ts'
import { isToken, type Token, tokensOf } from './tokens.ts'

/** What a SQL text is compiled with. */
export interface SqlContext {
  /** Parses and binds; nothing of the text is run. */
  readonly executor: Pick<Executor, 'run' | 'rows' | 'describe'>
  /** Variables for `${NAME}` in values of options. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Told of each variable that is put in, before anything can be said of what it holds. */
  onVariable?(name: string, value: string): void
  /** Imports a file that is named from where the text lies. Absent: the text lies in no file. */
  load?(path: string): Promise<Readonly<Record<string, unknown>>>
}

type Statement = (reader: Reader, catalog: Catalog) => void | Promise<void>

/** Every statement by the words that it begins with. A new one is a file and a line here. */
const statements: readonly (readonly [words: readonly string[], run: Statement])[] = [
  [['CREATE', 'PIPELINE'], createPipeline],
  [['CREATE', 'SOURCE'], createSource],
  [['CREATE', 'LOOKUP'], createLookup],
  [['CREATE', 'FUNCTION'], createFunction],
  [['CREATE', 'SINK'], createSink],
  [['CREATE', 'VIEW'], createView],
  [['INSERT', 'INTO'], insertInto],
]

/** Of functions that are refused what helps in a file of SQL. */
const reasons: ReadonlyMap<string, string> = new Map([
  [
    'getenv',
    'it reads the environment, not the row; a variable stands in values of WITH, as ${NAME}, and a query takes the ' +
      'value itself',
  ],
])

/**
 * A pipeline of statements: the same operators, and so the same plan, that a person writes in TypeScript.
 *
 * @throws MillraceError `user` with the place in the text, and a frame of it
 */
export async function compileSql(
  file: SqlFile,
  { executor, environment, onVariable, load }: SqlContext,
): Promise<Pipeline> {
  const context = {
    executor,
    environment,
    formats,
    sinkKinds: sinks,
    announcers: connectors,
    ...(onVariable && { onVariable }),
    ...(load && { load }),
  }
  const catalog = createCatalog(file, context, reasons)
  try {
    await readStatements(catalog)
  } catch (error) {
    if (error instanceof RangeError)
      throw sqlError(file, 0, 'it is nested too deep; expected fewer brackets within brackets.', error)
    throw error
  }
  return { ...pipelineOf(catalog), secrets: () => catalog.secrets }
}

async function readStatements(catalog: Catalog): Promise<void> {
  const tokens = tokensOf(catalog.file)
  const reader = createReader(catalog.file, tokens.slice(0, -1), tokens.at(-1) as Token)
  const waiting: (readonly [place: number, part: () => Reader])[] = []
  for (let place = 0; reader.peek().is !== 'end'; place++) {
    if (reader.take(';')) continue
    const part = reader.until(token => isToken(token, ';'))
    const end = reader.peek()
    const again = () => reader.within(part, end)
    if (await waits(catalog, place, again)) waiting.push([place, again])
  }
  // All else is bound: what is wrong there has been told before a line of a file is run.
  for (const { name, load } of catalog.functions)
    catalog.relations.set(name.value.toLowerCase(), { is: 'function', name: name.value, map: await load() })
  for (const [place, part] of waiting) await knowingSteps(catalog.executor, () => readStatement(catalog, place, part()))
}

/** Whether a statement needs a function. Otherwise it is read. */
async function waits(catalog: Catalog, place: number, part: () => Reader): Promise<boolean> {
  try {
    await readStatement(catalog, place, part())
    return false
  } catch (error) {
    if (!(error instanceof NeedsFunction)) throw error
    const reader = part()
    const name = reader.take('CREATE', 'VIEW') ? reader.peek().value : undefined
    if (name !== undefined) catalog.relations.set(name.toLowerCase(), { is: 'pending', name, what: 'view' })
    return true
  }
}

async function readStatement(catalog: Catalog, place: number, reader: Reader): Promise<void> {
  const found = statements.find(([words]) => reader.isAt(...words))
  if (!found) throw unknownStatement(reader)
  reader.take(...found[0])
  catalog.statement = place
  await found[1](reader, catalog)
  if (reader.peek().is !== 'end') reader.expect(';', '; behind the statement')
}

function unknownStatement(reader: Reader): Error {
  const all = statements.map(([words]) => words.join(' '))
  const token = reader.peek()
  const written = [token, reader.peek(1)].map(({ text }) => text.toUpperCase()).join(' ')
  const near = nearestName(written, all)
  const hint = reader.isAt('SELECT')
    ? ' A SELECT alone has no place for its rows: write INSERT INTO sink SELECT ...'
    : near === undefined
      ? ''
      : ` Did you mean ${near}?`
  return sqlError(reader.file, token.from, `expected ${all.join(', ')}, found ${shown(token)}.${hint}`)
}

function pipelineOf({ file, pipeline: named, flows: found }: Catalog): Pipeline {
  const flows = [...found].toSorted(([a], [b]) => a - b).map(([, flow]) => flow)
  if (!named)
    throw sqlError(
      file,
      0,
      "the pipeline has no name; expected CREATE PIPELINE revenue WITH (checkpoint = 'data/checkpoint');.",
    )
  if (flows.length === 0)
    throw sqlError(file, named.at, 'the pipeline has no flow; expected INSERT INTO sink SELECT ....')
  try {
    return calledAt(siteOf(file, named.at), () =>
      pipeline(named.name, { checkpoint: named.checkpoint }, ...(flows as never[])),
    )
  } catch (error) {
    throw placed(file, named.at, error)
  }
}
