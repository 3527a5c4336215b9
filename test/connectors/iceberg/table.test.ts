import { expect, test } from 'vitest'
import { writeAvro, readAvro } from '../../../connectors/iceberg/avro.ts'
import { boundText, singleValue } from '../../../connectors/iceberg/bounds.ts'
import { parseExact, stringifyExact } from '../../../connectors/iceberg/exact-json.ts'
import { iceberg } from '../../../connectors/iceberg/spec.ts'
import { keysOf } from '../../checkpoints/fixtures.ts'
import { currentKeys, metadataOf, openTableLab } from './fixtures.ts'

const columns = { k: 'BIGINT', zone: 'VARCHAR', at: 'TIMESTAMP' } as const
const row = "SELECT 1::BIGINT AS k, 'a' AS zone, TIMESTAMP '2024-01-01' AS at"

async function withLab(
  work: (lab: Awaited<ReturnType<typeof openTableLab>>) => Promise<void>,
  ...args: Parameters<typeof openTableLab>
): Promise<void> {
  const lab = await openTableLab(...args)
  try {
    await work(lab)
  } finally {
    await lab.close()
  }
}

const unfit = { kind: 'user', code: 'output-unfit' }

test('a table that does not fit the flow is refused by name, and left alone', () =>
  withLab(async lab => {
    const port = await lab.openAs('a')
    await port.own(true, 1)
    const before = await keysOf(lab.store)
    const other = (changed: object, by?: Parameters<typeof lab.openAs>[2]) =>
      lab.openAs('a', { ...columns, ...changed }, by).then(opened => opened.check(false))
    await expect(other({ more: 'DATE' })).rejects.toMatchObject(unfit)
    await expect(other({ more: 'DATE' })).rejects.toThrow('has no column \'more\'; expected one of type "date"')
    await expect(other({ zone: 'BIGINT' })).rejects.toThrow(
      'column \'zone\' is "string" in the table and BIGINT in the flow; expected "long"',
    )
    await expect(other({ k: 'DECIMAL(18,2)' })).rejects.toMatchObject(unfit)
    const parted = iceberg(lab.folder, { partitionBy: [{ day: 'at' }] })
    await expect(other({}, parted)).rejects.toThrow(
      'its files are parted by nothing; expected day(at), as partitionBy says',
    )
    // A narrower column fits.
    await other({ k: 'INTEGER' })
    expect(await keysOf(lab.store)).toEqual(before)
  }, columns))

test('options that cannot be met are refused before anything is written', () => {
  expect(() => iceberg('out', { key: [] })).toThrow('iceberg: key')
  expect(() => iceberg('out', { snapshotsMax: 1 })).toThrow('a whole number from 2 to 100000')
  expect(() => iceberg('out', { partitionBy: [{ week: 'at' } as never] })).toThrow('week')
})

test('two writers of one table: whoever comes second begins again, and each epoch is there once', () =>
  withLab(async lab => {
    const first = await lab.openAs('a')
    await first.own(true, 1)
    const second = await lab.openAs('a')
    await second.own(false, 1)
    for (let epoch = 1; epoch <= 6; epoch++) {
      const answers = await Promise.all([first, second].map(port => lab.publish(port, epoch, row)))
      expect(answers.toSorted()).toEqual(['already', 'published'])
    }
    expect((await currentKeys(lab.store)).length).toBe(6)
    expect((await metadataOf(lab.store))?.properties['millrace.epoch']).toBe('6')
  }, columns))

test('a manifest that is cut off, or missing, ends the publication with its name; nothing is taken out of the table', () =>
  withLab(async lab => {
    const port = await lab.openAs('a')
    await port.own(true, 1)
    await lab.publish(port, 1, row)
    const [list = ''] = (await keysOf(lab.store, 'metadata/snap-')).toSorted()
    const found = await lab.store.get(list)
    if (typeof found === 'string') throw new Error(found)
    await lab.store.delete([list])
    await expect(lab.publish(port, 2, row)).rejects.toMatchObject({ kind: 'fatal', code: 'corrupt-object' })
    await lab.store.put(list, found.body.subarray(0, found.body.length - 20), 'absent')
    await expect(lab.publish(port, 2, row)).rejects.toThrow('it is cut off')
    await lab.store.delete([list])
    await lab.store.put(list, found.body, 'absent')
    expect(await lab.publish(port, 2, row)).toBe('published')
    expect((await currentKeys(lab.store)).length).toBe(2)
  }, columns))

test('metadata that are none, or of a format that is not known, are refused with their name', () =>
  withLab(async lab => {
    const port = await lab.openAs('a')
    await port.own(true, 1)
    const table = await metadataOf(lab.store)
    const put = (body: string) => lab.store.put('metadata/v2.metadata.json', Buffer.from(body), 'absent')
    await put(JSON.stringify({ ...table, 'format-version': 4 }))
    await expect(lab.openAs('a').then(fresh => fresh.check(false))).rejects.toThrow(
      'v2.metadata.json: format-version: 4 is not valid; expected format 2 or 3',
    )
    await lab.store.delete(['metadata/v2.metadata.json'])
    await put('{"format-version":2,"table-')
    await expect(lab.openAs('a').then(fresh => fresh.check(false))).rejects.toMatchObject({ code: 'corrupt-object' })
  }, columns))

test('a table without a hint, or with one that is behind, is found by its metadata', () =>
  withLab(async lab => {
    const port = await lab.openAs('a')
    await port.own(true, 1)
    for (let epoch = 1; epoch <= 3; epoch++) await lab.publish(port, epoch, row)
    await lab.store.delete(['metadata/version-hint.text'])
    expect(await (await lab.openAs('a')).through(0)).toBe(3)
    await lab.store.put('metadata/version-hint.text', Buffer.from('2'), 'absent')
    expect(await (await lab.openAs('a')).through(0)).toBe(3)
  }, columns))

test('numbers of 63 bits and manifests are read as they were written', async () => {
  const text = '{"a":9223372036854775807,"b":[-9007199254740993,1.5],"c":1e+30,"d":12}'
  expect(stringifyExact(parseExact(text))).toBe(text)
  const schema = {
    type: 'record',
    name: 'r',
    fields: [{ name: 'a', type: ['null', 'long'], default: null, 'field-id': 7 }],
  }
  const records = [{ a: 9223372036854775807n }, { a: null }, { a: -1n }]
  const bytes = await writeAvro(schema, records, { more: 'text' })
  expect(await readAvro(bytes)).toEqual({ schema, records })
  for (const cut of [1, 16, 17, bytes.length - 4])
    await expect(readAvro(bytes.subarray(0, -cut))).rejects.toThrow(/cut off|truncated|invalid|unexpected|header/)
  await expect(readAvro(Buffer.from('no Avro at all'))).rejects.toThrow('invalid magic bytes')
})

test('bounds are read back as the values that they were made of', () => {
  const values: readonly (readonly [string, unknown, string])[] = [
    ['int', -7, '-7'],
    ['long', -9223372036854775808n, '-9223372036854775808'],
    ['double', -0.1, '-0.1'],
    ['float', 1.5, '1.5'],
    ['boolean', true, 'true'],
    ['string', 'naïve 💡', 'naïve 💡'],
    ['date', -1, '1969-12-31'],
    ['timestamp', -1n, '1969-12-31 23:59:59.999999'],
    ['timestamptz', 1_704_067_200_000_001n, '2024-01-01 00:00:00.000001+00'],
    ['decimal(10, 2)', '-0.05', '-0.05'],
    ['decimal(38, 0)', '99999999999999999999999999999999999999', '99999999999999999999999999999999999999'],
    ['decimal(9, 3)', '128.000', '128.000'],
  ]
  for (const [type, value, text] of values) expect(boundText(type, singleValue(type, value)), type).toBe(text)
})
