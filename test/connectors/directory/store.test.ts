import { execFile } from 'node:child_process'
import { link, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type FileSystem, nodeFileSystem } from '../../../connectors/directory/file-system.ts'
import { checkFileSystem } from '../../../connectors/directory/check-file-system.ts'
import { createDirectoryStore } from '../../../connectors/directory/store.ts'
import type { ObjectVersion } from '../../../src/core/object-version.ts'
import type { ObjectStore } from '../../../src/core/ports.ts'
import { describeObjectStore } from '../../contracts/object-store.ts'

let base: string
let count = 0
beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'millrace-directory-'))
})
afterAll(() => rm(base, { recursive: true }))

async function newRoot(): Promise<string> {
  const root = join(base, `${count++}`)
  await mkdir(root)
  return root
}

async function listed(store: ObjectStore, prefix = ''): Promise<readonly ObjectVersion[]> {
  const versions: ObjectVersion[] = []
  for await (const version of store.list(prefix)) versions.push(version)
  return versions
}

const bytes = (text: string): Uint8Array => Buffer.from(text)

describeObjectStore('file://', { create: async () => createDirectoryStore(await newRoot()), isWriteOnce: true })

describeObjectStore('file:// without hard links between names', {
  create: async () => {
    const refusing: FileSystem = {
      ...nodeFileSystem,
      async link(from, to) {
        // Only a link from a temporary file works, so that copy must take its second way.
        if (to.includes('link-') || from.includes('.millrace-temporary')) return nodeFileSystem.link(from, to)
        throw Object.assign(new Error('not here'), { code: 'EXDEV' })
      },
    }
    return createDirectoryStore(await newRoot(), { fs: refusing })
  },
  isWriteOnce: true,
})

describe('a directory as an object store', () => {
  let root: string
  let store: ObjectStore
  beforeEach(async () => {
    root = await newRoot()
    store = createDirectoryStore(root)
  })

  test('is created by the first write, and is empty before', async () => {
    const late = createDirectoryStore(join(root, 'not', 'yet'))
    expect(await listed(late)).toEqual([])
    expect(await late.get('x')).toBe('missing')
    expect(await late.put('HEAD', bytes('x'), 'absent')).toMatchObject({ is: 'stored' })
  })

  test('keeps HEAD as one file name and one body (P7)', async () => {
    let put = await store.put('HEAD', bytes('0'), 'absent')
    for (let i = 1; i < 20 && put.is === 'stored'; i++) put = await store.put('HEAD', bytes(`${i}`), put.eTag)
    const [pointer, ...others] = await readdir(join(root, 'head'))
    expect(others).toEqual([])
    expect(pointer).toMatch(/^HEAD@20@/)
    expect(await readdir(join(root, 'head-bodies'))).toEqual([pointer?.slice('HEAD@'.length)])
  })

  test('removes what a crashed writer of HEAD left at the next commit', async () => {
    const put = await store.put('HEAD', bytes('0'), 'absent')
    await writeFile(join(root, 'head-bodies', '2@crashed'), 'never named')
    const eTag = put.is === 'stored' ? put.eTag : ''
    const second = await store.put('HEAD', bytes('1'), eTag)
    // A rival for generation 2 may still live, so its body goes one commit later.
    await store.put('HEAD', bytes('2'), second.is === 'stored' ? second.eTag : '')
    expect(await readdir(join(root, 'head-bodies'))).toHaveLength(1)
  })

  test('finds HEAD when a listing beside a rename shows no name at first, or the old and the new one', async () => {
    const first = await store.put('HEAD', bytes('1'), 'absent')
    const [old] = await readdir(join(root, 'head'))
    await store.put('HEAD', bytes('2'), first.is === 'stored' ? first.eTag : '')
    let lists = 0
    const fs: FileSystem = {
      ...nodeFileSystem,
      async list(folder) {
        const entries = await nodeFileSystem.list(folder)
        return ++lists === 1 ? [] : [{ name: old ?? '', kind: 'file' }, ...entries]
      },
    }
    const found = await createDirectoryStore(root, { fs }).get('HEAD')
    expect(typeof found === 'string' ? found : Buffer.from(found.body).toString()).toBe('2')
    expect(lists).toBe(2)
  })

  test('names the body that is missing, and does not call HEAD missing (P10)', async () => {
    await store.put('HEAD', bytes('0'), 'absent')
    await rm(join(root, 'head-bodies'), { recursive: true })
    await expect(store.get('HEAD')).rejects.toMatchObject({ kind: 'fatal', code: 'missing-object' })
  })

  test('leaves no temporary file behind', async () => {
    await store.put('a/x', bytes('x'), 'absent')
    await store.put('a/x', bytes('x'), 'absent')
    await store.put('HEAD', bytes('x'), 'absent')
    await store.put('HEAD', bytes('x'), 'absent')
    await store.delete(['HEAD'])
    expect(await readdir(join(root, '.millrace-temporary'))).toEqual([])
    expect(await readdir(root)).toEqual(['.millrace-temporary', 'a'])
  })

  test('removes temporary files of processes that died a day ago, and no younger ones', async () => {
    const temporary = join(root, '.millrace-temporary')
    await mkdir(join(temporary, 'old-folder'), { recursive: true })
    await writeFile(join(temporary, 'old-folder', 'HEAD@1@x'), '')
    await writeFile(join(temporary, 'old'), 'old')
    await writeFile(join(temporary, 'young'), 'young')
    const old = new Date(Date.now() - 25 * 3_600_000)
    await utimes(join(temporary, 'old'), old, old)
    await utimes(join(temporary, 'old-folder'), old, old)
    await store.put('x', bytes('x'), 'absent')
    expect(await readdir(temporary)).toEqual(['young'])
  })

  test('has eTags of size and nanoseconds, which change with the file (P1)', async () => {
    await writeFile(join(root, 'x'), 'one')
    const [before] = await listed(store)
    expect(before?.eTag).toMatch(/^3-\d{19}$/)
    await writeFile(join(root, 'x'), 'three')
    expect(await store.get('x', { ifMatch: before?.eTag ?? '' })).toBe('changed')
    if (before) expect(await store.link?.(before, join(base, 'never'))).toBe('changed')
  })

  test.each(['../x', 'a/../../x', '/etc/passwd', 'a//b', 'a/', '', '.', 'a\\b', 'a\0b', '.millrace-temporary/x'])(
    'refuses the key %j',
    async key => {
      await expect(store.get(key)).rejects.toMatchObject({ code: 'invalid-key' })
      await expect(store.put(key, bytes('x'), 'absent')).rejects.toMatchObject({ code: 'invalid-key' })
      await expect(store.copy('x', key)).rejects.toMatchObject({ code: 'invalid-key' })
      await expect(store.delete([key])).rejects.toMatchObject({ code: 'invalid-key' })
    },
  )

  test.each(['head/x', 'head', 'a/latest/x', 'head-bodies/x', 'Head/x'])(
    'refuses to write %j, where a mutable key lives',
    async key => {
      await expect(store.put(key, bytes('x'), 'absent')).rejects.toMatchObject({ code: 'invalid-key' })
    },
  )

  test('lists and reads input folders and files that are only named like its own', async () => {
    for (const key of ['latest/x', 'head/y', 'head-bodies/z']) {
      await mkdir(join(root, key, '..'), { recursive: true })
      await writeFile(join(root, key), key)
    }
    await mkdir(join(root, 'sub'))
    await writeFile(join(root, 'sub', 'latest'), 'plain')
    const versions = await listed(store)
    expect(versions.map(v => v.key)).toEqual(['head-bodies/z', 'head/y', 'latest/x', 'sub/latest'])
    for (const { key, eTag } of versions) expect(await store.get(key, { ifMatch: eTag })).toMatchObject({ eTag })
  })

  test('does not follow folders linked from elsewhere, but reads linked files', async () => {
    const outside = await newRoot()
    await writeFile(join(outside, 'secret'), 'secret')
    await symlink(outside, join(root, 'linked'))
    await symlink(join(outside, 'secret'), join(root, 'file'))
    await symlink(join(outside, 'nothing'), join(root, 'broken'))
    await symlink(root, join(root, 'circle'))
    expect((await listed(store)).map(v => v.key)).toEqual(['file'])
    await expect(listed(store, 'linked/')).rejects.toMatchObject({ kind: 'user' })
    const [version] = await listed(store)
    if (version) expect(await store.link?.(version, join(base, 'copy-of-link'))).toMatchObject({ is: 'linked' })
    expect(await readFile(join(base, 'copy-of-link'), 'utf8')).toBe('secret')
  })

  test('follows links that lead out of the root, and those to folders, only where it is told to', async () => {
    const outside = join(base, 'outside')
    await mkdir(join(outside, 'folder'), { recursive: true })
    await writeFile(join(outside, 'secret'), 'secret')
    await writeFile(join(outside, 'folder/inner'), 'inner')
    await mkdir(join(root, 'a'), { recursive: true })
    await writeFile(join(root, 'a/plain'), 'plain')
    await symlink(join(outside, 'secret'), join(root, 'a/out'))
    await symlink(join(root, 'a/plain'), join(root, 'in'))
    await symlink(join(outside, 'folder'), join(root, 'folder'))
    await symlink('..', join(root, 'a/up'))
    await symlink(join(outside, 'nothing'), join(root, 'broken'))
    // A prefix of the root's name is another folder.
    await mkdir(`${root}-other`)
    await writeFile(join(`${root}-other`, 'near'), 'near')
    await symlink(join(`${root}-other`, 'near'), join(root, 'near'))
    const found = async (links: 'files' | 'inside' | 'all') => {
      const passed: string[] = []
      const keys: string[] = []
      const store = createDirectoryStore(root, { links })
      for await (const { key } of store.list('', undefined, undefined, key => passed.push(key))) keys.push(key)
      return { keys, passed }
    }
    expect(await found('files')).toEqual({ keys: ['a/out', 'a/plain', 'in', 'near'], passed: ['a/up/', 'folder/'] })
    expect(await found('inside')).toEqual({
      keys: ['a/plain', 'in'],
      passed: ['a/out', 'a/up/', 'folder/', 'near'],
    })
    expect(await found('all')).toEqual({
      keys: ['a/out', 'a/plain', 'folder/inner', 'in', 'near'],
      passed: ['a/up/'],
    })
  })

  test('reads nothing through a link that has come to lead out of the root since it was listed', async () => {
    await mkdir(join(base, 'outside'), { recursive: true })
    await writeFile(join(base, 'outside/secret'), 'secret')
    await mkdir(join(root, 'sub'))
    await writeFile(join(root, 'file'), 'secret')
    await writeFile(join(root, 'sub/secret'), 'secret')
    const { mtime } = await stat(join(root, 'file'))
    for (const file of [join(root, 'file'), join(root, 'sub/secret'), join(base, 'outside/secret')])
      await utimes(file, mtime, mtime)
    const store = createDirectoryStore(root, { links: 'inside' })
    const versions = await listed(store, '')
    await rm(join(root, 'file'))
    await symlink(join(base, 'outside/secret'), join(root, 'file'))
    await rm(join(root, 'sub'), { recursive: true })
    await symlink(join(base, 'outside'), join(root, 'sub'))
    expect(versions.map(({ key }) => key)).toEqual(['file', 'sub/secret'])
    for (const version of versions) {
      const refused = {
        code: 'object-refused',
        message: expect.stringContaining(`'${version.key}' is a symbolic link`),
      }
      await expect(store.get(version.key, { ifMatch: version.eTag })).rejects.toMatchObject(refused)
      await expect(store.link?.(version, join(base, 'never'))).rejects.toMatchObject(refused)
      // Size and time alone do not tell them apart.
      expect(await createDirectoryStore(root).get(version.key, { ifMatch: version.eTag })).toMatchObject({
        body: Buffer.from('secret'),
      })
    }
  })

  test('never takes a copy back that another owner has found under its key, and deleted the original of', async () => {
    await writeFile(join(root, 'x'), 'the only bytes')
    const [version] = await listed(store)
    if (!version) throw new Error('nothing is listed')
    const away = join(base, 'away-owner')
    const other = createDirectoryStore(away)
    const fs: FileSystem = {
      ...nodeFileSystem,
      async link(from, to) {
        if (!from.includes('.millrace-temporary')) throw Object.assign(new Error('other disk'), { code: 'EXDEV' })
        await nodeFileSystem.link(from, to)
        // The process stands still here. The next owner finds the copy, records it and deletes the original.
        expect(await other.take?.(store, version, 'x')).toEqual({ is: 'conflict' })
        expect(await store.remove?.(version)).toBe('removed')
      },
    }
    expect(await createDirectoryStore(away, { fs }).take?.(store, version, 'x')).toMatchObject({ is: 'taken' })
    expect(await readFile(join(away, 'x'), 'utf8')).toBe('the only bytes')
    await expect(readFile(join(root, 'x'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('gives no name to a copy of a file that was written to or deleted while it was copied', async () => {
    for (const [is, meddle] of [
      ['changed', () => writeFile(join(root, 'x'), 'other bytes')],
      ['missing', () => rm(join(root, 'x'))],
    ] as const) {
      await writeFile(join(root, 'x'), 'bytes')
      const [version] = await listed(store)
      if (!version) throw new Error('nothing is listed')
      const away = createDirectoryStore(join(base, `away-${is}`), {
        fs: {
          ...nodeFileSystem,
          link: () => Promise.reject(Object.assign(new Error('other disk'), { code: 'EXDEV' })),
          async write(path, body) {
            const written = await nodeFileSystem.write(path, body)
            await meddle()
            return written
          },
        },
      })
      expect(await away.take?.(store, version, 'x')).toEqual({ is })
      expect(await listed(away)).toEqual([])
    }
  })

  test('takes and removes files of folders that are called as those of mutable keys', async () => {
    await mkdir(join(root, 'Latest', 'head'), { recursive: true })
    await writeFile(join(root, 'Latest', 'head', 'x'), 'x')
    const away = createDirectoryStore(join(base, 'away-latest'))
    const [version] = await listed(store)
    if (!version) throw new Error('nothing is listed')
    expect(await away.take?.(store, version, version.key)).toMatchObject({ is: 'taken' })
    expect(await store.remove?.(version)).toBe('removed')
    expect((await listed(away)).map(({ key }) => key)).toEqual(['Latest/head/x'])
  })

  test('answers unsupported when a version cannot be hard-linked', async () => {
    await writeFile(join(root, 'x'), 'x')
    const fs: FileSystem = {
      ...nodeFileSystem,
      link: () => Promise.reject(Object.assign(new Error('other disk'), { code: 'EXDEV' })),
    }
    const [version] = await listed(store)
    expect(version && (await createDirectoryStore(root, { fs }).link?.(version, join(base, 'y')))).toBe('unsupported')
  })

  test('takes back a link when the file was replaced in between', async () => {
    await writeFile(join(root, 'x'), 'before')
    const [version] = await listed(store)
    const fs: FileSystem = {
      ...nodeFileSystem,
      async link(from, to) {
        await writeFile(join(root, 'x'), 'replaced')
        await link(from, to)
      },
    }
    const to = join(base, 'replaced')
    if (version) expect(await createDirectoryStore(root, { fs }).link?.(version, to)).toBe('changed')
    await expect(readFile(to)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('answers changed when the file is written to while it is read', async () => {
    await writeFile(join(root, 'x'), 'before')
    const [version] = await listed(store)
    const fs: FileSystem = {
      ...nodeFileSystem,
      async read(path, range) {
        const { body, before } = await nodeFileSystem.read(path, range)
        await writeFile(path, 'meanwhile')
        return { body, before, after: await nodeFileSystem.stat(path) }
      },
    }
    const changing = createDirectoryStore(root, { fs })
    expect(await changing.get('x', { ifMatch: version?.eTag ?? '' })).toBe('changed')
    await writeFile(join(root, 'x'), 'before')
    await expect(changing.get('x')).rejects.toMatchObject({ kind: 'retry' })
  })

  test('answers unknown when a write was applied but could not be made durable', async () => {
    let isBroken = false
    const fs: FileSystem = {
      ...nodeFileSystem,
      syncFolder: folder => {
        if (isBroken && !folder.includes('-bodies'))
          return Promise.reject(Object.assign(new Error('disk'), { code: 'EIO' }))
        return nodeFileSystem.syncFolder(folder)
      },
    }
    const failing = createDirectoryStore(root, { fs })
    const first = await failing.put('HEAD', bytes('1'), 'absent')
    await failing.put('a', bytes('a'), 'absent')
    isBroken = true
    expect(await failing.put('HEAD', bytes('2'), first.is === 'stored' ? first.eTag : '')).toMatchObject({
      is: 'unknown',
    })
    expect(await failing.put('b', bytes('b'), 'absent')).toMatchObject({ is: 'unknown' })
    expect(await failing.copy('a', 'c')).toMatchObject({ is: 'unknown' })
    expect((await listed(store)).map(v => v.key)).toEqual(['HEAD', 'a', 'b', 'c'])
  })

  test('throws, rather than doubts, when the disk refuses a write', async () => {
    const full: FileSystem = {
      ...nodeFileSystem,
      write: () => Promise.reject(Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' })),
    }
    const failing = createDirectoryStore(root, { fs: full })
    await expect(failing.put('x', bytes('x'), 'absent')).rejects.toMatchObject({
      kind: 'fatal',
      code: 'file-system',
      message: `ENOSPC: no space left (in ${root}); nothing of this write counts. Free space in ${root}, or raise its quota, and start again: the run goes on from its last commit.`,
    })
    await expect(failing.put('HEAD', bytes('x'), 'absent')).rejects.toMatchObject({
      kind: 'fatal',
      code: 'file-system',
    })
    expect(await listed(store)).toEqual([])
  })

  test('gives every win in a race of processes its own generation, and loses none (P7)', async () => {
    const attempts = 150
    const run = promisify(execFile)
    const script = join(import.meta.dirname, 'race-writer.ts')
    const outputs = await Promise.all(
      Array.from({ length: 4 }, () => run(process.execPath, [script, root, `${attempts}`], { encoding: 'utf8' })),
    )
    const won = outputs.flatMap(({ stdout }) => JSON.parse(stdout) as number[]).toSorted((a, b) => a - b)
    const last = await store.get('HEAD')
    // Each value was written by exactly one process, and each one stands on the one before.
    expect(won).toEqual(Array.from({ length: won.length }, (_, i) => i + 1))
    expect(won.length).toBeGreaterThanOrEqual(attempts)
    expect(typeof last === 'string' ? last : Buffer.from(last.body).toString()).toBe(`${won.length}`)
    expect(await readdir(join(root, 'head'))).toEqual([expect.stringMatching(new RegExp(`^HEAD@${won.length}@`))])
    expect(await readdir(join(root, 'head-bodies'))).toHaveLength(1)
  })
})

describe('checkFileSystem', () => {
  const withType = (type: number): FileSystem => ({ ...nodeFileSystem, type: async () => type })

  test.each([
    [0x6969, 'NFS'],
    [0x517b, 'SMB'],
    [0xff534d42, 'CIFS'],
    [0xff534d42 | 0, 'CIFS'],
    [0xfe534d42, 'SMB2'],
  ])('refuses type %i, naming %s (P7)', async (type, name) => {
    const refused = checkFileSystem('/data', withType(type))
    await expect(refused).rejects.toMatchObject({ kind: 'user', message: expect.stringContaining(name) })
  })

  test('accepts a local disk, also for a folder that does not exist yet', async () => {
    await expect(checkFileSystem(join(base, 'not', 'yet'), withType(0xef53))).resolves.toBeUndefined()
    await expect(checkFileSystem(join(base, 'not', 'yet'))).resolves.toBeUndefined()
  })
})
