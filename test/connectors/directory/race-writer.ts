// One of several processes that race for HEAD; prints what it won as JSON. Run by store.test.ts.
import { createDirectoryStore } from '../../../connectors/directory/store.ts'

const [root = '', attempts = '0'] = process.argv.slice(2)
const store = createDirectoryStore(root)
const won: number[] = []

for (let i = 0; i < Number(attempts); i++) {
  const now = await store.get('HEAD')
  if (typeof now === 'string') {
    const put = await store.put('HEAD', Buffer.from('1'), 'absent')
    if (put.is === 'stored') won.push(1)
    continue
  }
  const next = Number(Buffer.from(now.body).toString()) + 1
  const put = await store.put('HEAD', Buffer.from(`${next}`), now.eTag)
  if (put.is === 'stored') won.push(next)
  if (put.is === 'unknown') throw put.cause
}
process.stdout.write(JSON.stringify(won))
