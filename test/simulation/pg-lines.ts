/** A line for each row of a query of PostgreSQL, by the package `pg`, as psql writes it. */
export async function pgLines(server: { readonly endpoint: string }, query: string): Promise<readonly string[]> {
  const { default: pg } = (await import('pg' as string)) as { default: { Client: new (options: object) => Client } }
  const client = new pg.Client({ connectionString: server.endpoint })
  await client.connect()
  try {
    const { rows } = await client.query({
      text: query,
      rowMode: 'array',
      types: { getTypeParser: () => (text: string) => text },
    })
    return rows.map(row => row.map(value => value ?? '').join('|'))
  } finally {
    await client.end()
  }
}

interface Client {
  connect(): Promise<void>
  query(query: object): Promise<{ readonly rows: readonly (readonly (string | null)[])[] }>
  end(): Promise<void>
}
