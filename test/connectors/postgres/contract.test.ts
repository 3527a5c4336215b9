import { copyRows } from '../../../connectors/postgres/rows.ts'
import { postgres } from '../../../connectors/postgres/spec.ts'
import { describeSink, type VisibleEpoch } from '../../contracts/sink.ts'
import { serverFor } from '../../servers/for-tests.ts'
import { psql, startPostgres } from '../../servers/postgres.ts'
import { newSchema, openSink, sinkOf } from './fixtures.ts'

const columns = { k: 'VARCHAR' }
const server = await serverFor(startPostgres)
const facts = { tells: true, isOwned: true, fences: true }

for (const [name, key] of [
  ['a table of PostgreSQL', undefined],
  ['a table of PostgreSQL with a key', ['k']],
] as const) {
  const rows = copyRows(postgres({ url: 'postgres://h/d', table: 't', ...(key && { key }) }), columns, 'flow-1')
  if (server)
    describeSink(name, { ...facts, rows }, async () => {
      const schema = await newSchema(server)
      return {
        open: (checkpointId, calls) =>
          openSink(sinkOf(server, schema, key && { key }), { columns, checkpointId, calls }),
        async visible() {
          // Another reader than the sink's own client. Rows lie in the order of their inserts, and begin with their epoch.
          const found = await psql(server, `SELECT k FROM ${schema}.results ORDER BY ctid`).catch((error: unknown) => {
            if (/relation .* does not exist/.test(String(error))) return ''
            throw error
          })
          const seen: (VisibleEpoch & { readonly rows: string[] })[] = []
          for (const k of found.split('\n').filter(line => line !== '')) {
            const epoch = Number(k.split(' ')[0])
            if (seen.at(-1)?.epoch !== epoch) seen.push({ epoch, rows: [] })
            seen.at(-1)?.rows.push(k)
          }
          return seen
        },
        staged: async () => [],
        async traces() {
          const names = await psql(
            server,
            `SELECT relname FROM pg_class WHERE relnamespace = '${schema}'::regnamespace`,
          )
          const found = names.split('\n').filter(line => line !== '')
          if (!found.includes('millrace_commits')) return found
          return [...found, await psql(server, `SELECT * FROM ${schema}.millrace_commits`)]
        },
        close: async () => {},
      }
    })
}
