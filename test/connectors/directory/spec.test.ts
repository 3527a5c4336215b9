import { resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseDirectoryAddress } from '../../../connectors/directory/spec.ts'

describe('parseDirectoryAddress', () => {
  test.each([
    ['file:///data/in', '/data/in'],
    ['file:///data/with%20space/', '/data/with space'],
    ['FILE:///data', '/data'],
    ['/data/in/', '/data/in'],
    ['data/in', resolve('data/in')],
    ['./a:b', resolve('a:b')],
  ])('reads %s as %s', (address, path) => {
    expect(parseDirectoryAddress(address, '--input')).toBe(path)
  })

  test.each([
    's3://bucket/key',
    'https://host/x',
    'file:data',
    'file://host/data',
    'file:///a?b',
    'file:///a#b',
    '',
    ' ',
    'a\0',
  ])('refuses %j, naming the field and the value', address => {
    expect(() => parseDirectoryAddress(address, '--input')).toThrow(
      expect.objectContaining({ kind: 'user', message: expect.stringContaining(`--input: '${address}'`) }),
    )
  })

  test('says of other schemes what this version reads', () => {
    expect(() => parseDirectoryAddress('https://host/bucket', '--input')).toThrow(
      /s3:\/\/bucket\/prefix\/.*\?endpoint=/,
    )
  })
})
