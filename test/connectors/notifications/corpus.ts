import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { sharedData } from '../../shared-data.ts'

/** Messages captured from real servers. */
const captured = sharedData('s3-events')
export const isCorpusThere = captured.isThere

export interface Body {
  /** `folder/file#n`; a Lambda event is a body, and so is each body that it carries. */
  readonly name: string
  readonly text: string
}

export function corpus(): readonly Body[] {
  if (!isCorpusThere) return []
  return readdirSync(captured.path)
    .toSorted()
    .flatMap(folder =>
      readdirSync(join(captured.path, folder))
        .toSorted()
        .flatMap(file =>
          bodiesOf(file, readFileSync(join(captured.path, folder, file), 'utf8')).map((text, n) => ({
            name: `${folder}/${file}#${n}`,
            text,
          })),
        ),
    )
}

function bodiesOf(file: string, text: string): readonly string[] {
  if (file.endsWith('.ndjson')) return text.split('\n').filter(line => line !== '')
  const value = JSON.parse(text) as { body?: unknown; Records?: readonly { body?: unknown }[] }
  if (value.body !== undefined) return [JSON.stringify(value.body)]
  return [text, ...(value.Records ?? []).flatMap(({ body }) => (typeof body === 'string' ? [body] : []))]
}
