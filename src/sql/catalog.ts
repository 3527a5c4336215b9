import type { Observable } from 'rxjs'
import type { FormatConnector } from '../plan/format.ts'
import { createGate, type Gate } from '../plan/gate.ts'
import type { Sink, SinkKind } from '../plan/sink.ts'
import type { Executor } from '../core/ports.ts'
import type { NotificationConnector } from '../../connectors/notifications/connector.ts'
import type { Lookup } from '../../operators/lookup.ts'
import type { ToOptions } from '../../operators/to.ts'
import type { Rows } from './rows.ts'
import type { SqlFile } from './sql-error.ts'
import type { Token } from './tokens.ts'

/** What a statement has named. */
export type Named =
  | { readonly is: 'rows'; readonly what: 'source' | 'view'; readonly name: string; readonly rows: Rows }
  | {
      readonly is: 'lookup'
      readonly name: string
      readonly lookup: Lookup<unknown, never>
      readonly columns: Readonly<Record<string, string>>
    }
  | { readonly is: 'function'; readonly name: string; readonly map: (rows: Observable<unknown>) => Observable<unknown> }
  /** What is made when functions are imported. */
  | { readonly is: 'pending'; readonly name: string; readonly what: 'function' | 'view' }

/** A place for results. */
export interface NamedSink {
  readonly name: string
  readonly sink: Sink
  readonly options: ToOptions
}

/** A function whose file is imported last. */
export interface PendingFunction {
  readonly name: Token
  load(): Promise<(rows: Observable<unknown>) => Observable<unknown>>
}

/** A statement needs a function whose file is not imported yet. */
export class NeedsFunction extends Error {}

/** What the statements before have said, and what they are read with. */
export interface Catalog {
  readonly file: SqlFile
  readonly executor: Pick<Executor, 'run' | 'rows' | 'describe'>
  readonly gate: Gate
  readonly formats: readonly FormatConnector[]
  readonly sinkKinds: readonly SinkKind[]
  readonly announcers: readonly NotificationConnector[]
  readonly environment: Readonly<Record<string, string | undefined>>
  onVariable?(name: string, value: string): void
  /** Variables that were put in: name to value. */
  readonly secrets: Map<string, string>
  /** By lower-case name. */
  readonly relations: Map<string, Named>
  readonly sinks: Map<string, NamedSink>
  /** By the place of their statements. */
  readonly flows: Map<number, Observable<unknown>>
  /** The place of the statement that is read, among all. */
  statement: number
  readonly functions: PendingFunction[]
  /** Imports a file beside the SQL file. Absent: the text lies in none. */
  load?(path: string): Promise<Readonly<Record<string, unknown>>>
  pipeline?: { readonly name: string; readonly checkpoint: string; readonly at: number }
}

/** What a text is compiled with. */
export type CatalogContext = Pick<
  Catalog,
  'executor' | 'environment' | 'onVariable' | 'load' | 'formats' | 'sinkKinds' | 'announcers'
>

/** Before the first statement. @param reasons why functions are refused, as `createGate` takes them */
export function createCatalog(file: SqlFile, context: CatalogContext, reasons?: ReadonlyMap<string, string>): Catalog {
  return {
    ...context,
    file,
    gate: createGate(context.executor, reasons),
    secrets: new Map(),
    relations: new Map(),
    sinks: new Map(),
    flows: new Map(),
    statement: 0,
    functions: [],
  }
}
