import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeNotificationSource } from '../../contracts/notification-source.ts'
import { contextOf } from '../notifications/fixtures.ts'
import { folder, folderConnector } from './index.ts'

describeNotificationSource('a folder of messages', async () => {
  const path = await mkdtemp(join(tmpdir(), 'folder-'))
  let sent = 0
  return {
    async send(bodies) {
      for (const body of bodies) {
        const file = join(path, String(++sent).padStart(6, '0'))
        await writeFile(file, body)
        await rename(file, `${file}.json`)
      }
    },
    open: (positions, options) => folderConnector.open(folder({ path }), contextOf({ positions, ...options })),
    close: () => rm(path, { recursive: true }),
  }
})
