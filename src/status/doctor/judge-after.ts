import { isS3Address } from '../../../connectors/s3/spec.ts'
import type { BucketFacts } from '../../../connectors/s3/describe.ts'
import { afterText } from '../../engine/report/after-text.ts'
import type { AfterSettings } from '../../plan/after.ts'
import { about, type Finding } from '../../core/finding.ts'

/** Where the objects lie, and what is known of that bucket; undefined of a directory. */
export interface AfterPlace {
  readonly root: string
  readonly bucket: BucketFacts | undefined
}

/** What becomes of objects when they are committed: what it needs, and what it gives up. */
export function judgeAfter(after: AfterSettings, pipeline: string, { root, bucket }: AfterPlace): readonly Finding[] {
  const text = afterText(after, pipeline)
  if (after.is === 'keep' || text === undefined) return []
  const judge = about('after')
  const isVersioned = bucket?.isVersioned.is === 'known' ? bucket.isVersioned.value : undefined
  const needs = isS3Address(root) ? `. It needs ${actionsOf(after, root, isVersioned !== false).join(', ')}` : ''
  const found = [judge(after.is === 'delete' ? 'warning' : 'ok', `${text}${needs}`)]
  if (after.is !== 'tag' && isS3Address(root) && root.includes('endpoint=') && isVersioned === false)
    found.push(
      judge(
        'warning',
        `bucket ${bucket?.bucket ?? ''} keeps no versions, and its server may ignore conditions of deletes: ` +
          'an object that is overwritten in the very moment would be deleted. ' +
          'Let producers write new keys, or let the bucket keep versions',
      ),
    )
  return found
}

function actionsOf(after: AfterSettings, root: string, isVersioned: boolean): readonly string[] {
  if (after.is === 'tag') {
    const of = isVersioned ? ['Object', 'ObjectVersion'] : ['Object']
    return of.flatMap(what => [`s3:Get${what}Tagging`, `s3:Put${what}Tagging`])
  }
  const isOwnServer = root.includes('endpoint=')
  const toDelete = [
    's3:DeleteObject',
    ...(isVersioned && isOwnServer ? ['s3:ListBucketVersions', 's3:DeleteObjectVersion'] : []),
  ]
  if (after.is === 'delete') return toDelete
  const there = ['GetObject', 'PutObject', 'PutObjectTagging', 'DeleteObject', 'AbortMultipartUpload']
  return [
    ...toDelete,
    's3:GetObjectTagging',
    `and at ${after.is === 'move' ? after.to : ''} ${there.map(a => `s3:${a}`).join(', ')}`,
  ]
}
