import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '../../../../shared/data/s3-events')

/** Whether the messages captured from real servers are at hand. */
export const isCorpusThere = existsSync(root)
if (!isCorpusThere) console.log(`Skipped: the captured S3 events are not at ${root}.`)

export interface Body {
  /** `folder/file#n`; a Lambda event is a body, and so is each body that it carries. */
  readonly name: string
  readonly text: string
}

export function corpus(): readonly Body[] {
  if (!isCorpusThere) return []
  return readdirSync(root)
    .toSorted()
    .flatMap(folder =>
      readdirSync(join(root, folder))
        .toSorted()
        .flatMap(file =>
          bodiesOf(file, readFileSync(join(root, folder, file), 'utf8')).map((text, n) => ({
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
