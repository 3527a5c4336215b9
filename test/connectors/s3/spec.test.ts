import { describe, expect, test } from 'vitest'
import { addressOf, isS3Address, keyBytesMax, parseS3Address, toSpec } from '../../../connectors/s3/spec.ts'
import { failure } from '../../engine/harness.ts'

const parsed = (address: string) => parseS3Address(address, 'objects')

test('an address is one of S3 by its scheme', () => {
  expect(['s3://b', 'S3://bucket/a', 's3:', './s3://b', 'file:///s3', 's3'].map(isS3Address)).toEqual([
    true,
    true,
    true,
    false,
    false,
    false,
  ])
})

describe('an address', () => {
  test.each([
    ['s3://bucket', { bucket: 'bucket', path: '' }],
    ['S3://bucket/', { bucket: 'bucket', path: '' }],
    ['s3://my.bucket-1/a/b/', { bucket: 'my.bucket-1', path: 'a/b/' }],
    // Nothing is decoded, and a '?' without a '=' after it is a wildcard.
    ['s3://bucket/a%20b+c/é #1', { bucket: 'bucket', path: 'a%20b+c/é #1' }],
    ['s3://bucket/x?y/2022-??.parquet', { bucket: 'bucket', path: 'x?y/2022-??.parquet' }],
    ['s3://bucket/a?.parquet?region=eu-central-1', { bucket: 'bucket', path: 'a?.parquet', region: 'eu-central-1' }],
    [
      's3://bucket?endpoint=http://127.0.0.1:9000/&pathStyle=false&requesterPays=true',
      { bucket: 'bucket', path: '', endpoint: 'http://127.0.0.1:9000', pathStyle: false, requesterPays: true },
    ],
    [`s3://bucket/${'é'.repeat(keyBytesMax / 2)}`, { bucket: 'bucket', path: 'é'.repeat(keyBytesMax / 2) }],
  ])('%s', (address, expected) => {
    expect(parsed(address)).toEqual(expected)
  })

  test.each([
    ['s3:bucket/a', "objects: 's3:bucket/a' is not valid; expected an S3 address, such as"],
    ['s3://', 'expected an S3 address'],
    ['s3://bucket/a\0b', 'expected an S3 address'],
    ['s3://ab/x', "found 'ab'"],
    ['s3://Bucket/x', "found 'Bucket'"],
    ['s3://-bucket/x', "found '-bucket'"],
    ['s3://zone--usw2-az1--x-s3/x', "found 'zone--usw2-az1--x-s3'"],
    ['s3://bucket//a', 'without empty names between slashes'],
    ['s3://bucket/a//b', 'without empty names between slashes'],
    [`s3://bucket/${'é'.repeat(keyBytesMax / 2)}a`, 'at most 1024 bytes after the bucket'],
    ['s3://bucket/?regoin=x', "parameters region, endpoint, pathStyle, requesterPays, each once; found 'regoin'"],
    ['s3://bucket/?region=a&region=b', "found 'region' again"],
    ['s3://bucket/?region=EU', "objects: region: 'EU' is not valid; expected a region"],
    ['s3://bucket/?pathStyle=yes', "objects: pathStyle: 'yes' is not valid; expected 'true' or 'false'"],
    ['s3://bucket/?endpoint=minio:9000', "objects: endpoint: 'minio:9000' is not valid; expected a URL"],
    ['s3://bucket/?endpoint=http://h/?region=b', 'without empty names between slashes'],
  ])('%j is refused', async (address, message) => {
    const error = await failure(() => parsed(address))
    expect(error.kind).toBe('user')
    expect(error.message).toContain(message)
  })

  test.each([
    's3://AKIA:hidden@bucket/x',
    's3://bucket/x?accessKeyId=hidden',
    's3://bucket/x?X-Amz-Security-Token=hidden',
    's3://bucket/x?endpoint=http://user:hidden@h:9000',
    's3://Bad_Bucket/x?region=hidden',
  ])('%s is refused without being repeated', async address => {
    const { message } = await failure(() => parsed(address))
    expect(message).not.toMatch(/hidden|AKIA/)
  })
})

test('a root ends in a slash, and its address opens it again', () => {
  const spec = toSpec(parsed('s3://bucket/a/b?region=us-east-1&endpoint=http://h:1&pathStyle=true'))
  expect(spec).toMatchObject({ bucket: 'bucket', prefix: 'a/b/' })
  expect(addressOf(spec)).toBe('s3://bucket/a/b/?region=us-east-1&endpoint=http://h:1&pathStyle=true')
  for (const address of ['s3://bucket', 's3://bucket/a/', 's3://bucket/a?b/c?requesterPays=true', addressOf(spec)]) {
    const once = toSpec(parsed(address))
    expect(toSpec(parsed(addressOf(once)))).toEqual(once)
  }
})
