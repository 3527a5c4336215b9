// One of several processes that race for HEAD in S3; prints what it won as JSON. Run by race.test.ts.
import { newStore } from './fixtures.ts'

const [endpoint = '', prefix = '', attempts = '0'] = process.argv.slice(2)
const store = await newStore(endpoint, { spec: { prefix } })
const won: number[] = []

for (let i = 0; i < Number(attempts); i++) {
  const now = await store.get('HEAD')
  if (now === 'changed') throw new Error('changed without a condition')
  const next = now === 'missing' ? 1 : Number(Buffer.from(now.body).toString()) + 1
  const put = await store.put('HEAD', Buffer.from(`${next}`), now === 'missing' ? 'absent' : now.eTag)
  if (put.is === 'stored') won.push(next)
  if (put.is === 'unknown') throw put.cause
}
process.stdout.write(JSON.stringify(won))
