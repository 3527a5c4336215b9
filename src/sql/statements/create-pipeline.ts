import { place } from '../../core/option-kinds.ts'
import type { Catalog } from '../catalog.ts'
import type { Reader } from '../reader.ts'
import { sqlError } from '../sql-error.ts'
import { readWith, valuesOf } from '../with-options.ts'

const options = {
  checkpoint: { kind: place, isRequired: true, about: 'Where state, ledger and commits lie; one pipeline each.' },
} as const

/** `CREATE PIPELINE name WITH (checkpoint = '...')` */
export function createPipeline(reader: Reader, catalog: Catalog): void {
  const name = reader.name("the pipeline's name, as in CREATE PIPELINE revenue WITH (checkpoint = 'data/checkpoint')")
  if (catalog.pipeline)
    throw sqlError(
      catalog.file,
      name.from,
      `the pipeline is called ${catalog.pipeline.name} already; expected one CREATE PIPELINE.`,
    )
  const given = readWith(reader, catalog)
  const what = `pipeline ${name.value}`
  const { checkpoint } = valuesOf(catalog.file, { what, from: name.from }, options, given)
  if (checkpoint === undefined)
    throw sqlError(
      catalog.file,
      name.from,
      `${what}: checkpoint is missing; expected WITH (checkpoint = 'data/checkpoint').`,
    )
  catalog.pipeline = { name: name.value, checkpoint: checkpoint as string, at: name.from }
}
