import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { components } from '../../../src/engine/components.ts'
import { explain } from '../../../src/engine/explain.ts'
import { examine } from '../../../src/status/doctor/doctor.ts'
import { judgeAfter } from '../../../src/status/doctor/judge-after.ts'
import { type Lab, openLab, windowed, type WindowedFlow } from '../../engine/harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
  await lab.lines('a.jsonl', ['{"t":"2022-01-01 01:00:00"}'])
})
afterEach(() => lab[Symbol.asyncDispose]())

const of = (more: Pick<WindowedFlow, 'after' | 'afterDelay'>) =>
  windowed(lab, lab, { columns: { t: 'TIMESTAMP' }, format: 'json', delay: '1 hour', ...more })
const found = async (more: Pick<WindowedFlow, 'after' | 'afterDelay'>) =>
  (await examine(components, of(more), {})).filter(({ check }) => check === 'after')

const facts = (isVersioned: boolean) => ({
  bucket: 'b',
  prefix: 'in/',
  notifications: { is: 'known', value: [] } as const,
  isVersioned: { is: 'known', value: isVersioned } as const,
  lifecycle: { is: 'known', value: [] } as const,
})

describe('doctor, on what becomes of objects', () => {
  test('says that delete gives up replay, and so does explain', async () => {
    const text = 'objects are deleted after their commit: that gives up replay (verify, backfill --ledger)'
    expect(await found({ after: 'delete' })).toEqual([{ check: 'after', is: 'warning', message: text }])
    expect((await explain(of({ after: 'delete' }))).sources[0]?.after).toBe(text)
    expect(await found({})).toEqual([])
    expect((await explain(of({}))).sources[0]?.after).toBeNull()
  })

  test('opens the place to move to, and refuses one that a symbolic link leads into the source', async () => {
    const to = join(lab.root, 'done')
    expect(await found({ after: { moveTo: to }, afterDelay: '90s' })).toMatchObject([
      { is: 'ok', message: `objects move to ${to} 1 min 30 s after their commit; a replay reads them there` },
    ])
    await symlink(lab.input, join(lab.root, 'link'))
    expect(await found({ after: { moveTo: join(lab.root, 'link', 'done') } })).toMatchObject([
      { is: 'problem', message: expect.stringContaining("neither in nor above the source's place") },
    ])
  })

  test('a directory has no tags', async () => {
    expect(await found({ after: 'tag' })).toMatchObject([
      { is: 'problem', message: expect.stringContaining('have none') },
    ])
  })

  test('names the actions that S3 needs, and warns where a server may ignore conditions', () => {
    const aws = { root: 's3://b/in/', bucket: facts(false) }
    const own = { root: 's3://b/in/?endpoint=http://127.0.0.1:9000', bucket: facts(false) }
    const [tag] = judgeAfter({ is: 'tag', delayMs: 0 }, 'p', aws)
    expect(tag?.message).toBe(
      'objects get the tag millrace:p=committed after their commit. It needs s3:GetObjectTagging, s3:PutObjectTagging',
    )
    expect(judgeAfter({ is: 'delete', delayMs: 0 }, 'p', aws)).toHaveLength(1)
    const [deleted, window] = judgeAfter({ is: 'delete', delayMs: 0 }, 'p', own)
    expect(deleted?.message).toContain('It needs s3:DeleteObject')
    expect(window).toMatchObject({ is: 'warning', message: expect.stringContaining('bucket b keeps no versions') })
    const move = judgeAfter({ is: 'move', to: 's3://b/done/', delayMs: 0 }, 'p', { ...own, bucket: facts(true) })
    expect(move).toHaveLength(1)
    expect(move[0]?.message).toContain('s3:ListBucketVersions, s3:DeleteObjectVersion')
    expect(move[0]?.message).toContain('and at s3://b/done/ s3:GetObject, s3:PutObject')
  })
})
