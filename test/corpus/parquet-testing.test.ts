import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { checkPages } from '../../connectors/parquet/pages.ts'
import { sharedData } from '../shared-data.ts'
import { agree, declarable, readIndependently, readParquet, valueAt } from './reading.ts'

/** Rows of every file that is read. A file that is in none of these tables fails: somebody must say what it should give. */
const rows: Readonly<Record<string, number>> = {
  'alltypes_dictionary.parquet': 2,
  'alltypes_plain.parquet': 8,
  'alltypes_plain.snappy.parquet': 2,
  'alltypes_tiny_pages.parquet': 7300,
  'alltypes_tiny_pages_plain.parquet': 7300,
  'binary.parquet': 12,
  'binary_truncated_min_max.parquet': 12,
  'byte_array_decimal.parquet': 24,
  'byte_stream_split.zstd.parquet': 300,
  'column_chunk_key_value_metadata.parquet': 0,
  'concatenated_gzip_members.parquet': 513,
  'data_index_bloom_encoding_stats.parquet': 14,
  'data_index_bloom_encoding_with_length.parquet': 14,
  'datapage_v1-snappy-compressed-checksum.parquet': 5120,
  'datapage_v1-uncompressed-checksum.parquet': 5120,
  'datapage_v2.snappy.parquet': 5,
  'datapage_v2_empty_datapage.snappy.parquet': 1,
  'delta_binary_packed.parquet': 200,
  'delta_byte_array.parquet': 1000,
  'delta_encoding_optional_column.parquet': 100,
  'delta_encoding_required_column.parquet': 100,
  'delta_length_byte_array.parquet': 1000,
  'dict-page-offset-zero.parquet': 39,
  'fixed_length_byte_array.parquet': 1000,
  'fixed_length_decimal.parquet': 24,
  'fixed_length_decimal_legacy.parquet': 24,
  'float16_nonzeros_and_nans.parquet': 8,
  'float16_zeros_and_nans.parquet': 3,
  'floating_orders_nan_count.parquet': 50,
  'incorrect_map_schema.parquet': 1,
  'int32_decimal.parquet': 24,
  'int32_with_null_pages.parquet': 1000,
  'int64_decimal.parquet': 24,
  'int96_from_spark.parquet': 6,
  'list_columns.parquet': 3,
  'lz4_raw_compressed.parquet': 4,
  'lz4_raw_compressed_larger.parquet': 10000,
  'nan_in_stats.parquet': 2,
  'nation.dict-malformed.parquet': 25,
  'nested_lists.snappy.parquet': 3,
  'nested_maps.snappy.parquet': 6,
  'nested_structs.rust.parquet': 1,
  'nonnullable.impala.parquet': 1,
  'null_list.parquet': 1,
  'nullable.impala.parquet': 7,
  'nulls.snappy.parquet': 8,
  'old_list_structure.parquet': 1,
  'overflow_i16_page_cnt.parquet': 40000,
  'page_v2_empty_compressed.parquet': 10,
  'plain-dict-uncompressed-checksum.parquet': 1000,
  'repeated_no_annotation.parquet': 6,
  'repeated_primitive_no_list.parquet': 4,
  'rle-dict-snappy-checksum.parquet': 1000,
  'rle_boolean_encoding.parquet': 68,
  'single_nan.parquet': 1,
  'sort_columns.parquet': 6,
  'unknown-logical-type.parquet': 3,
}

/** Bad objects, and why. The first two are broken; the rest are right by the specification, and DuckDB does not read them. */
const bad: Readonly<Record<string, RegExp>> = {
  'datapage_v1-corrupt-checksum.parquet':
    /^column 'a', page at byte 4: its checksum is 0f4f6d0a, its header says bbce3b9d$/,
  'rle-dict-uncompressed-corrupt-checksum.parquet':
    /^column 'long_field', page at byte 4: its checksum is 6522df69, its header says 6522df6a$/,
  'byte_stream_split_extended.gzip.parquet': /^BYTE_STREAM_SPLIT encoding is only supported for FLOAT or DOUBLE data$/,
  'hadoop_lz4_compressed.parquet': /Unsupported compression codec "LZ4"/,
  'hadoop_lz4_compressed_larger.parquet': /Unsupported compression codec "LZ4"/,
  'non_hadoop_lz4_compressed.parquet': /Unsupported compression codec "LZ4"/,
  'map_no_value.parquet': /MAP_KEY_VALUE requires two children/,
}

/** Cells where the two readers differ, as `row column`, and which of them is right. */
const differences: Readonly<Record<string, { readonly why: string; readonly cells: readonly string[] }>> = {
  'int96_from_spark.parquet': {
    why: 'Row 5 is a time of the year 290,000, which Spark wrote with nanoseconds that overflow. No two readers agree on it (pyarrow neither), and beyond 146,000 years it is no event time.',
    cells: ['5 a'],
  },
  'repeated_primitive_no_list.parquet': {
    why: 'A repeated field without values is an empty list: it cannot be NULL. hyparquet gives undefined, DuckDB is right.',
    cells: ['1 Int32_list', '1 group_of_lists.Int32_list_in_group'],
  },
}

/** Files that hyparquet cannot read. */
const notIndependent: Readonly<Record<string, { readonly error: string; readonly why: string }>> = {
  'datapage_v2_empty_datapage.snappy.parquet': {
    error: 'invalid snappy length header',
    why: 'A page of version 2 without values has no compressed bytes: one row, NULL.',
  },
  'nation.dict-malformed.parquet': {
    error: 'Invalid typed array length: 28',
    why: 'The size of a chunk leaves out the header of its dictionary page (PARQUET-816): hyparquet stops 15 bytes too early.',
  },
}

/** Two keys of half a gigabyte each: their pages are walked, and that is all. */
const tooLarge = 'large_string_map.brotli.parquet'

const corpus = sharedData('parquet-testing')
const keys = corpus.isThere ? readdirSync(corpus.path).toSorted() : []

describe.skipIf(!corpus.isThere)('Apache’s corpus of Parquet, declared as `infer` says', () => {
  test('holds the files that are expected here, each in one table', () => {
    expect(keys).toEqual([...Object.keys(rows), ...Object.keys(bad), tooLarge].toSorted())
  })

  test.each(keys.filter(key => key in rows))('%s agrees with hyparquet cell by cell', async key => {
    const path = join(corpus.path, key)
    const columns = await declarable(path)
    const reading = await readParquet(path, columns)
    expect(reading.reason).toBeNull()
    expect(reading.aside).toEqual([])
    expect(reading.rows).toHaveLength(rows[key] as number)
    if (key in notIndependent) {
      await expect(readIndependently(path)).rejects.toThrow(notIndependent[key]?.error)
      return
    }
    const independent = await readIndependently(path)
    expect(independent).toHaveLength(reading.rows.length)
    const different = reading.rows.flatMap((row, index) =>
      Object.entries(columns).flatMap(([column, type]) =>
        agree(row[column], valueAt(independent[index], column), type) ? [] : [`${index} ${column}`],
      ),
    )
    expect(different).toEqual(differences[key]?.cells ?? [])
  })

  test.each(keys.filter(key => key in bad))('%s is a bad object with a clear reason', async key => {
    const path = join(corpus.path, key)
    const columns = await declarable(path).catch(() => ({ my_map: 'JSON' }))
    expect((await readParquet(path, columns)).reason).toMatch(bad[key] as RegExp)
  })

  test('the rows that hyparquet cannot read are those of the specification', async () => {
    const empty = await readParquet(join(corpus.path, 'datapage_v2_empty_datapage.snappy.parquet'), { value: 'FLOAT' })
    expect(empty.rows).toEqual([{ value: null }])
    const nation = await readParquet(join(corpus.path, 'nation.dict-malformed.parquet'), {
      nation_key: 'INTEGER',
      name: 'VARCHAR',
    })
    expect(nation.rows[0]).toEqual({ nation_key: '0', name: 'ALGERIA' })
    expect(nation.rows[24]).toEqual({ nation_key: '24', name: 'UNITED STATES' })
  })

  test(`${tooLarge} lies as its footer says`, async () => {
    const { signal } = new AbortController()
    expect(await checkPages(join(corpus.path, tooLarge), ['arr'], signal)).toMatchObject({
      is: 'good',
      hasUtcNanos: false,
    })
  })
})
