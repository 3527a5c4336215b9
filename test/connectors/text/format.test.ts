import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTextFormat } from '../../../connectors/text/format.ts'
import {
  albLogs,
  cloudFrontLogs,
  nlbLogs,
  s3AccessLogs,
  type TextOptions,
  text,
  vpcFlowLogs,
} from '../../../src/index.ts'
import type { TextSettings } from '../../../connectors/text/settings.ts'
import { type ObjectReader, openObjectReader } from '../../contracts/object-reader.ts'

let reader: ObjectReader
beforeAll(async () => {
  reader = await openObjectReader()
})
afterAll(() => reader[Symbol.asyncDispose]())

type ColumnTypes = Readonly<Record<string, string>>
const read = async (options: TextOptions, columns: ColumnTypes, body: string | Uint8Array) => {
  const [reading] = await reader.read(createTextFormat(text(options).settings as TextSettings), columns, { a: body })
  return reading
}
const us = (iso: string) => String(BigInt(Date.parse(iso)) * 1000n)

describe('groups with names are columns', () => {
  const words = { pattern: '(?P<a>\\w+)(?: (?P<b>[^ ]*))?(?: (x)(y))?(?: (?P<C>.*))?' }

  test.each<[string, TextOptions, ColumnTypes, string, unknown[]]>([
    [
      'in any order, some of them',
      words,
      { b: 'BIGINT', a: 'VARCHAR' },
      'one 1\ntwo 2',
      [
        { b: '1', a: 'one' },
        { b: '2', a: 'two' },
      ],
    ],
    [
      'matched whatever the case, exactly first',
      words,
      { c: 'VARCHAR', A: 'VARCHAR' },
      'one 1 xy z',
      [{ c: 'z', A: 'one' }],
    ],
    [
      'NULL where they took no part, or are empty',
      words,
      { a: 'VARCHAR', b: 'VARCHAR', C: 'VARCHAR' },
      'one\ntwo  three',
      [
        { a: 'one', b: null, C: null },
        { a: 'two', b: null, C: 'three' },
      ],
    ],
    [
      'NULL by nullText, all of the text',
      { ...words, nullText: '-' },
      { b: 'VARCHAR' },
      'a -\na --',
      [{ b: null }, { b: '--' }],
    ],
    ['lists written as JSON', { pattern: '(?<l>.*)' }, { l: 'BIGINT[]' }, '[1,2]', [{ l: '[1,2]' }]],
    [
      'quotes, backslashes, percent signs and brackets',
      { pattern: '(?P<v>\\[.*\\])' },
      { v: 'VARCHAR' },
      `['"%\\x]`,
      [{ v: `['"%\\x]` }],
    ],
    [
      "with DuckDB's own characters",
      { pattern: '(?P<v>.*)' },
      { v: 'VARCHAR' },
      'a\x01b\x02c\x01\x01\nd\re\n\x01',
      [{ v: 'a\x01b\x02c\x01\x01' }, { v: 'd\re' }, { v: '\x01' }],
    ],
    ['beyond ASCII', { pattern: '(?P<v>\\pL+)' }, { v: 'VARCHAR' }, 'Żółw', [{ v: 'Żółw' }]],
  ])('%s', async (_, options, columns, body, expected) => {
    const reading = await read(options, columns, body)
    expect(reading?.aside).toEqual([])
    expect(reading?.rows.map(({ _row, ...row }) => row)).toEqual(expected)
  })

  test('an escaped bracket, a class and a quoted text open no group', async () => {
    const pattern = '\\((?P<a>[(\\])[]+)\\)\\Q(\\E(?:[^]()x]*)(?P<b>\\w)[[:alpha:](]'
    const reading = await read({ pattern }, { a: 'VARCHAR', b: 'VARCHAR' }, '((])( --Q(')
    expect(reading?.rows).toMatchObject([{ a: '(]', b: 'Q' }])
  })
})

describe('what is no row', () => {
  test('empty lines, comments and headers are passed over; rows are numbered without them (S18)', async () => {
    const options = { pattern: '(?P<v>[^ ]+)', comment: '#', headerLines: 2 }
    const reading = await read(options, { v: 'VARCHAR' }, '\uFEFFhead of all\n\n#no\na\r\n\r\n\nb #no\n#\nc')
    expect(reading?.rows.map(({ _row, v }) => [Number(_row), v])).toEqual([
      [0, 'a'],
      [2, 'c'],
    ])
    expect(reading?.aside).toMatchObject([{ _row: 1n, found: 'b #no' }])
  })

  test('a pattern has to fit the whole line', async () => {
    const reading = await read({ pattern: '(?P<a>a)|(?P<b>b)' }, { a: 'VARCHAR' }, 'a\nxa\nbx\nb')
    expect(reading?.rows.map(({ a }) => a)).toEqual(['a', null])
    expect(reading?.aside.map(({ found }) => found)).toEqual(['xa', 'bx'])
  })

  test('a line that is too long, or no UTF-8, is a bad row with its beginning, and spoils no other', async () => {
    const mebibyte = 1024 * 1024
    const body = Buffer.concat([
      Buffer.from(`${'y'.repeat(mebibyte)}\r\n${'x'.repeat(mebibyte + 1)}\n`),
      Buffer.from([0x61, 0xff, 0x0a]),
      Buffer.from(`${'\x01'.repeat(mebibyte)}\nb`),
    ])
    const reading = await read({ pattern: '(?P<v>.*)' }, { v: 'VARCHAR' }, body)
    expect(reading?.rows.map(({ v }) => String(v).length)).toEqual([mebibyte, mebibyte, 1])
    expect(reading?.aside).toMatchObject([
      { _row: 1n, found: 'x'.repeat(1000) },
      { _row: 2n, found: 'a\uFFFD' },
    ])
  })

  test('a column that the pattern does not have makes a bad object', async () => {
    expect((await read({ pattern: '(?P<a>.)' }, { other: 'VARCHAR' }, 'a'))?.reason).toContain('other')
  })
})

describe('times', () => {
  test.each([
    ['%d/%b/%Y:%H:%M:%S %z', '06/Feb/2019:00:00:38 +0000', '2019-02-06T00:00:38Z'],
    ['%d/%b/%Y:%H:%M:%S %z', '06/Feb/2019:00:00:38 -0530', '2019-02-06T05:30:38Z'],
    ['%Y-%m-%d\t%H:%M:%S', '2019-12-04\t21:02:31', '2019-12-04T21:02:31Z'],
    ['%d.%m.%Y %H:%M:%S.%f', '01.02.2024 03:04:05.250', '2024-02-01T03:04:05.250Z'],
    ['epoch-seconds', '1418530010', '2014-12-14T04:06:50Z'],
    ['epoch-seconds', '-1', '1969-12-31T23:59:59Z'],
    ['epoch-milliseconds', '1418530010123', '2014-12-14T04:06:50.123Z'],
    // What is ISO already needs no format.
    ['epoch-seconds', '2014-12-14 04:06:50+00', '2014-12-14T04:06:50Z'],
  ])('%s reads %j', async (format, body, iso) => {
    for (const type of ['TIMESTAMPTZ', 'TIMESTAMP'])
      expect((await read({ pattern: '(?P<t>.*)', times: { t: format } }, { t: type }, body))?.rows).toMatchObject([
        { t: us(iso) },
      ])
  })

  test.each([
    ['%d/%b/%Y:%H:%M:%S %z', '06/Feb/2019:00:00:38 Europe/Berlin'],
    ['%d/%b/%Y:%H:%M:%S %z', '31/Feb/2019:00:00:38 +0000'],
    ['%d/%b/%Y:%H:%M:%S %z', '06/Feb/2019:00:00:38'],
    ['epoch-seconds', '1.5'],
    ['epoch-seconds', '123456789012'],
    ['epoch-seconds', 'epoch'],
    ['epoch-milliseconds', '1e3'],
  ])('%s refuses %j, and shows it as it is', async (format, found) => {
    const reading = await read({ pattern: '(?P<t>.*)', times: { t: format } }, { t: 'TIMESTAMPTZ' }, `${found}\n`)
    expect(reading?.aside).toMatchObject([{ column: 't', expected: 'TIMESTAMPTZ', found }])
  })
})

describe('logs of AWS, by lines of their documentation', () => {
  /** The rows without NULLs, of which none is set aside. */
  const parsed = async (preset: TextOptions & { readonly columns: ColumnTypes }, body: string | Uint8Array) => {
    const reading = await read(preset, preset.columns, body)
    expect(reading).toMatchObject({ reason: null, aside: [] })
    return (reading?.rows ?? []).map(({ _row, ...row }) =>
      Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null)),
    )
  }

  test('access logs of S3', async () => {
    const owner = '79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be'
    const host = 's9lzHYrFp76ZVxRcpX9+5cjAnEH2ROuNkd2BHfIa6UkFVdtjf5mKR3/eTPFvsiP/XV/VLi31234='
    const lines = [
      `${owner} amzn-s3-demo-bucket1 [06/Feb/2019:00:00:38 +0000] 192.0.2.3 ${owner} 3E57427F3EXAMPLE REST.GET.VERSIONING - "GET /amzn-s3-demo-bucket1?versioning HTTP/1.1" 200 - 113 - 7 - "-" "S3Console/0.4" - ${host} SigV4 ECDHE-RSA-AES128-GCM-SHA256 AuthHeader amzn-s3-demo-bucket1.s3.us-west-1.amazonaws.com TLSV1.2 arn:aws:s3:us-west-1:123456789012:accesspoint/example-AP Yes us-east-1`,
      `${owner} amzn-s3-demo-bucket1 [06/Feb/2019:00:01:57 +0000] 192.0.2.3 - DD6CC733AEXAMPLE REST.PUT.OBJECT s3-dg.pdf "PUT /amzn-s3-demo-bucket1/s3-dg.pdf HTTP/1.1" 403 AccessDenied 243 4406583 41754 28 "http://www.example.com/a b" "a b; c" 3HL4kqtJvjVBH40Nrjfkd`,
      `${owner} amzn-s3-demo-bucket1 [06/Feb/2019:00:02:00 +0000] - - 5D5EXAMPLE S3.EXPIRE.OBJECT old/key - - - - 10 - - - - - - -`,
      `${owner} amzn-s3-demo-bucket1 [06/Feb/2019:00:03:00 +0000] 192.0.2.3 - E REST.GET.OBJECT k "GET /k HTTP/1.1" 200 - 1 1 7 6 "-" "-" - h SigV4 c AuthHeader h.s3 TLSv1.3 - - us-east-1 something "of a later day"`,
    ]
    const [first, second, third, fourth] = await parsed(s3AccessLogs, lines.join('\n'))
    expect(first).toEqual({
      bucket_owner: owner,
      bucket: 'amzn-s3-demo-bucket1',
      time: us('2019-02-06T00:00:38Z'),
      remote_ip: '192.0.2.3',
      requester: owner,
      request_id: '3E57427F3EXAMPLE',
      operation: 'REST.GET.VERSIONING',
      request_uri: 'GET /amzn-s3-demo-bucket1?versioning HTTP/1.1',
      http_status: '200',
      bytes_sent: '113',
      total_time: '7',
      user_agent: 'S3Console/0.4',
      host_id: host,
      signature_version: 'SigV4',
      cipher_suite: 'ECDHE-RSA-AES128-GCM-SHA256',
      authentication_type: 'AuthHeader',
      host_header: 'amzn-s3-demo-bucket1.s3.us-west-1.amazonaws.com',
      tls_version: 'TLSV1.2',
      access_point_arn: 'arn:aws:s3:us-west-1:123456789012:accesspoint/example-AP',
      acl_required: 'Yes',
      source_region: 'us-east-1',
    })
    expect(second).toMatchObject({
      key: 's3-dg.pdf',
      http_status: '403',
      error_code: 'AccessDenied',
      object_size: '4406583',
      total_time: '41754',
      turn_around_time: '28',
      referrer: 'http://www.example.com/a b',
      user_agent: 'a b; c',
      version_id: '3HL4kqtJvjVBH40Nrjfkd',
    })
    expect(third).toEqual({
      bucket_owner: owner,
      bucket: 'amzn-s3-demo-bucket1',
      time: us('2019-02-06T00:02:00Z'),
      request_id: '5D5EXAMPLE',
      operation: 'S3.EXPIRE.OBJECT',
      key: 'old/key',
      object_size: '10',
    })
    expect(fourth).toMatchObject({ source_region: 'us-east-1', tls_version: 'TLSv1.3' })
  })

  test('access logs of an Application Load Balancer', async () => {
    const group = 'arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067'
    const elb = 'app/my-loadbalancer/50dc6c495c0c9188'
    const lines = [
      `https 2018-07-02T22:23:00.186641Z ${elb} 192.168.131.39:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 "GET https://www.example.com:443/ HTTP/1.1" "curl/7.46.0" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 ${group} "Root=1-58337281-1d84f3d73c47ec4e58577259" "www.example.com" "arn:aws:acm:us-east-2:123456789012:certificate/12345678-1234-1234-1234-123456789012" 1 2018-07-02T22:22:48.364000Z "authenticate,forward" "-" "-" "10.0.0.1:80" "200" "-" "-" TID_1234abcd5678ef90`,
      `http 2018-11-30T22:23:00.186641Z ${elb} 2001:db8::1:2817 - -1 -1 -1 502 - 34 366 "- http://www.example.com:80- -" "-" - - ${group} "Root=1-58337364-23a8c76965a2ef7629b185e3" "-" "-" 0 2018-11-30T22:22:48.364000Z "forward" "-" "LambdaInvalidResponse" "-" "-" "Ambiguous" "UndefinedContentLengthSemantics"`,
      `h2 2018-07-02T22:23:00.186641Z ${elb} 10.0.1.252:48160 10.0.0.66:9000 0.000 0.002 0.000 200 200 5 257 "GET https://10.0.2.105:773/?a=b c HTTP/2.0" "curl/7.46.0" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 ${group} "Root=1-58337327-72bd00b0343d75b906739c42" "-" "-" 1 2018-07-02T22:22:48.364000Z "redirect" "https://example.com:80/" "-" "10.0.0.66:9000" "200" "-" "-"`,
    ]
    const [first, second, third] = await parsed(albLogs, gzipSync(lines.join('\n')))
    expect(first).toEqual({
      type: 'https',
      time: us('2018-07-02T22:23:00.186Z').replace('186000', '186641'),
      elb,
      client_ip: '192.168.131.39',
      client_port: '2817',
      target_ip: '10.0.0.1',
      target_port: '80',
      request_processing_time: '0.086',
      target_processing_time: '0.048',
      response_processing_time: '0.037',
      elb_status_code: '200',
      target_status_code: '200',
      received_bytes: '0',
      sent_bytes: '57',
      request_verb: 'GET',
      request_url: 'https://www.example.com:443/',
      request_protocol: 'HTTP/1.1',
      user_agent: 'curl/7.46.0',
      ssl_cipher: 'ECDHE-RSA-AES128-GCM-SHA256',
      ssl_protocol: 'TLSv1.2',
      target_group_arn: group,
      trace_id: 'Root=1-58337281-1d84f3d73c47ec4e58577259',
      domain_name: 'www.example.com',
      chosen_cert_arn: 'arn:aws:acm:us-east-2:123456789012:certificate/12345678-1234-1234-1234-123456789012',
      matched_rule_priority: '1',
      request_creation_time: us('2018-07-02T22:22:48.364Z'),
      actions_executed: 'authenticate,forward',
      target_port_list: '10.0.0.1:80',
      target_status_code_list: '200',
      conn_trace_id: 'TID_1234abcd5678ef90',
    })
    expect(second).toMatchObject({
      client_ip: '2001:db8::1',
      client_port: '2817',
      request_processing_time: '-1.0',
      elb_status_code: '502',
      request_url: 'http://www.example.com:80-',
      error_reason: 'LambdaInvalidResponse',
      classification: 'Ambiguous',
      classification_reason: 'UndefinedContentLengthSemantics',
    })
    expect(Object.keys(second ?? {})).not.toContain('target_ip')
    expect(third).toMatchObject({
      request_url: 'https://10.0.2.105:773/?a=b c',
      redirect_url: 'https://example.com:80/',
    })
  })

  test('access logs of a Network Load Balancer', async () => {
    const cert = 'arn:aws:acm:us-east-2:671290407336:certificate/2a108f19-aded-46b0-8493-c63eb1ef4a99'
    const domain = 'my-network-loadbalancer-c6e77e28c25b2234.elb.us-east-2.amazonaws.com'
    const start =
      'net/my-network-loadbalancer/c6e77e28c25b2234 g3d4b5e8bb8464cd 72.21.218.154:51341 172.100.100.185:443'
    const lines = [
      `tls 2.0 2020-04-01T08:51:42 ${start} 5 2 98 246 - ${cert} - ECDHE-RSA-AES128-SHA tlsv12 - ${domain} h2 h2 "h2","http/1.1" 2020-04-01T08:51:20`,
      `tls 2.0 2018-12-20T02:59:40 ${start} 5 - 98 246 80 ${cert} - ECDHE-RSA-AES128-SHA tlsv12 - ${domain} - - - 2018-12-20T02:59:30`,
    ]
    const [first, second] = await parsed(nlbLogs, lines.join('\n'))
    expect(first).toEqual({
      type: 'tls',
      version: '2.0',
      time: us('2020-04-01T08:51:42Z'),
      elb: 'net/my-network-loadbalancer/c6e77e28c25b2234',
      listener: 'g3d4b5e8bb8464cd',
      client_ip: '72.21.218.154',
      client_port: '51341',
      destination_ip: '172.100.100.185',
      destination_port: '443',
      connection_time: '5',
      tls_handshake_time: '2',
      received_bytes: '98',
      sent_bytes: '246',
      chosen_cert_arn: cert,
      tls_cipher: 'ECDHE-RSA-AES128-SHA',
      tls_protocol_version: 'tlsv12',
      domain_name: domain,
      alpn_fe_protocol: 'h2',
      alpn_be_protocol: 'h2',
      alpn_client_preference_list: '"h2","http/1.1"',
      tls_connection_creation_time: us('2020-04-01T08:51:20Z'),
    })
    expect(second).toMatchObject({ incoming_tls_alert: '80', tls_connection_creation_time: us('2018-12-20T02:59:30Z') })
  })

  test('standard logs of CloudFront', async () => {
    const fields =
      '2019-12-04 21:02:31 LAX1 392 192.0.2.100 GET d111111abcdef8.cloudfront.net /index.html 200 - Mozilla/5.0%20(Windows%20NT%2010.0) - - Hit SOX4xwn4XV6Q4rgb7XiVGOHms_BGlTAC4KyHmureZmBNrjGdRLiNIQ== d111111abcdef8.cloudfront.net https 23 0.001 - TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256 Hit HTTP/2.0 - - 11040 0.001 Hit text/html 78 - -'
    const line = fields.replaceAll(' ', '\t')
    const head = '#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip cs-method\n'
    const [first, old] = await parsed(
      cloudFrontLogs,
      gzipSync(`${head}${line}\n${line.split('\t').slice(0, 24).join('\t')}\n`),
    )
    expect(first).toEqual({
      time: us('2019-12-04T21:02:31Z'),
      edge_location: 'LAX1',
      sc_bytes: '392',
      c_ip: '192.0.2.100',
      cs_method: 'GET',
      cs_host: 'd111111abcdef8.cloudfront.net',
      cs_uri_stem: '/index.html',
      sc_status: '200',
      cs_user_agent: 'Mozilla/5.0%20(Windows%20NT%2010.0)',
      edge_result_type: 'Hit',
      edge_request_id: 'SOX4xwn4XV6Q4rgb7XiVGOHms_BGlTAC4KyHmureZmBNrjGdRLiNIQ==',
      host_header: 'd111111abcdef8.cloudfront.net',
      cs_protocol: 'https',
      cs_bytes: '23',
      time_taken: '0.001',
      ssl_protocol: 'TLSv1.2',
      ssl_cipher: 'ECDHE-RSA-AES128-GCM-SHA256',
      edge_response_result_type: 'Hit',
      cs_protocol_version: 'HTTP/2.0',
      c_port: '11040',
      time_to_first_byte: '0.001',
      edge_detailed_result_type: 'Hit',
      sc_content_type: 'text/html',
      sc_content_len: '78',
    })
    expect(old).toMatchObject({ cs_protocol_version: 'HTTP/2.0' })
  })

  test('flow logs of a VPC', async () => {
    const lines = [
      'version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status',
      '2 123456789010 eni-1235b8ca123456789 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK',
      '2 123456789010 eni-1235b8ca123456789 - - - - - - - 1431280876 1431280934 - NODATA',
    ]
    expect(await parsed(vpcFlowLogs, lines.join('\n'))).toEqual([
      {
        version: '2',
        account_id: '123456789010',
        interface_id: 'eni-1235b8ca123456789',
        srcaddr: '172.31.16.139',
        dstaddr: '172.31.16.21',
        srcport: '20641',
        dstport: '22',
        protocol: '6',
        packets: '20',
        bytes: '4249',
        start_time: us('2014-12-14T04:06:50Z'),
        end_time: us('2014-12-14T04:07:50Z'),
        action: 'ACCEPT',
        log_status: 'OK',
      },
      {
        version: '2',
        account_id: '123456789010',
        interface_id: 'eni-1235b8ca123456789',
        start_time: us('2015-05-10T18:01:16Z'),
        end_time: us('2015-05-10T18:02:14Z'),
        log_status: 'NODATA',
      },
    ])
  })

  test.each(Object.entries({ s3AccessLogs, albLogs, nlbLogs, cloudFrontLogs, vpcFlowLogs }))(
    '%s declares a column for each of its groups, in their order',
    (_, preset) => {
      const { groups } = text(preset).settings as TextSettings
      expect(groups).toEqual(Object.keys(preset.columns))
    },
  )
})
