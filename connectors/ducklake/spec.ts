import { place, text } from '../../src/core/option-kinds.ts'
import { type OptionTable, readCall } from '../../src/core/options.ts'
import type { Sink } from '../../src/plan/sink.ts'

export interface DucklakeOptions {
  /** The table, made where it is missing. */
  readonly table: string
  /** The schema of the lake that the table lies in, made where it is missing. Default 'main'. */
  readonly schema?: string
}

/** What `ducklake()` gives. */
export interface DucklakeSink extends Sink<unknown>, DucklakeOptions {
  readonly sink: 'ducklake'
}

const name = text(
  "a name of letters, digits, '_' and '-' that begins with a letter or '_'",
  value => /^[A-Za-z_][A-Za-z0-9_-]{0,127}$/.test(value),
  'NAME',
)

export const ducklakeOptions = {
  uri: { kind: place, isRequired: true, isPositional: true, about: 'The folder or prefix of the lake.' },
  table: { kind: name, isRequired: true, about: 'The table, made where it is missing.' },
  schema: { kind: name, otherwise: 'main', about: 'The schema that the table lies in, made where it is missing.' },
} satisfies OptionTable<DucklakeOptions & { readonly uri: string }>

/**
 * A sink of rows in a table of a DuckLake, each there once: the rows of an epoch and its number become visible by one
 * conditional write of the catalog, `catalog.ducklake` in the lake's folder. No server has a part in it. The table
 * belongs to one flow of one checkpoint; several tables, also of several pipelines, may share a lake.
 *
 *     to(ducklake('s3://lake/trips', { table: 'revenue' }))
 *
 * @param uri a directory, as a path or `file://` address, or an `s3://bucket/prefix/` address
 * @throws MillraceError `user` that names the field and what was expected
 */
export function ducklake(uri: string, options: DucklakeOptions): DucklakeSink {
  return { sink: 'ducklake', ...readCall('ducklake', ducklakeOptions, [uri], options) }
}
