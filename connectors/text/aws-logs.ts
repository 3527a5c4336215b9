import type { Columns } from '../../src/core/types.ts'
import type { TextOptions } from './spec.ts'

// Logs that AWS writes into buckets, by their published formats. Fields that a newer release adds at the end of a line
// are passed over; text in quotes that holds a quote itself makes a bad row, as nothing tells where it ends.

/** A line, where every field is followed by what begins the next one. */
const fields = (between: string, ...parts: readonly string[]) => parts.join(between)
const word = (name: string) => `(?P<${name}>[^ ]+)`
const quoted = (name: string) => `(?:"(?P<${name}>[^"]*)"|-)`
/** Fields that older lines do not have. */
const later = (between: string, parts: readonly string[]): string =>
  parts.reduceRight((rest, part) => `(?:${between}${part}${rest})?`, `(?:${between}.*)?`)
const address = (name: string) => `(?:(?P<${name}_ip>[^ ]+):(?P<${name}_port>[0-9]+)|-)`

/**
 * Server access logs of S3: `text(s3AccessLogs)` with `columns: s3AccessLogs.columns` and `time: 'time'`.
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html
 */
export const s3AccessLogs = {
  pattern:
    fields(
      ' ',
      word('bucket_owner'),
      word('bucket'),
      '\\[(?P<time>[^\\]]+)\\]',
      ...['remote_ip', 'requester', 'request_id', 'operation', 'key'].map(word),
      quoted('request_uri'),
      ...['http_status', 'error_code', 'bytes_sent', 'object_size', 'total_time', 'turn_around_time'].map(word),
      quoted('referrer'),
      quoted('user_agent'),
      word('version_id'),
    ) +
    later(
      ' ',
      [
        'host_id',
        'signature_version',
        'cipher_suite',
        'authentication_type',
        'host_header',
        'tls_version',
        'access_point_arn',
        'acl_required',
        'source_region',
      ].map(word),
    ),
  nullText: '-',
  times: { time: '%d/%b/%Y:%H:%M:%S %z' },
  suffix: '',
  columns: {
    bucket_owner: 'VARCHAR',
    bucket: 'VARCHAR',
    time: 'TIMESTAMPTZ NOT NULL',
    remote_ip: 'VARCHAR',
    requester: 'VARCHAR',
    request_id: 'VARCHAR',
    operation: 'VARCHAR',
    key: 'VARCHAR',
    request_uri: 'VARCHAR',
    http_status: 'INTEGER',
    error_code: 'VARCHAR',
    bytes_sent: 'BIGINT',
    object_size: 'BIGINT',
    total_time: 'BIGINT',
    turn_around_time: 'BIGINT',
    referrer: 'VARCHAR',
    user_agent: 'VARCHAR',
    version_id: 'VARCHAR',
    host_id: 'VARCHAR',
    signature_version: 'VARCHAR',
    cipher_suite: 'VARCHAR',
    authentication_type: 'VARCHAR',
    host_header: 'VARCHAR',
    tls_version: 'VARCHAR',
    access_point_arn: 'VARCHAR',
    acl_required: 'VARCHAR',
    source_region: 'VARCHAR',
  },
} as const satisfies TextOptions & { readonly columns: Columns }

/**
 * Access logs of an Application Load Balancer: `text(albLogs)` with `columns: albLogs.columns` and `time: 'time'`.
 *
 * @see https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html
 */
export const albLogs = {
  pattern:
    fields(
      ' ',
      word('type'),
      word('time'),
      word('elb'),
      address('client'),
      address('target'),
      ...['request_processing_time', 'target_processing_time', 'response_processing_time'].map(word),
      ...['elb_status_code', 'target_status_code', 'received_bytes', 'sent_bytes'].map(word),
      '"(?P<request_verb>[^" ]+) (?P<request_url>[^"]*) (?P<request_protocol>[^" ]*) ?"',
      quoted('user_agent'),
      ...['ssl_cipher', 'ssl_protocol', 'target_group_arn'].map(word),
      ...['trace_id', 'domain_name', 'chosen_cert_arn'].map(quoted),
      word('matched_rule_priority'),
      word('request_creation_time'),
      ...['actions_executed', 'redirect_url', 'error_reason'].map(quoted),
    ) +
    later(' ', [
      ...['target_port_list', 'target_status_code_list', 'classification', 'classification_reason'].map(quoted),
      word('conn_trace_id'),
    ]),
  nullText: '-',
  suffix: ['.log', '.log.gz'],
  columns: {
    type: 'VARCHAR',
    time: 'TIMESTAMPTZ NOT NULL',
    elb: 'VARCHAR',
    client_ip: 'VARCHAR',
    client_port: 'INTEGER',
    target_ip: 'VARCHAR',
    target_port: 'INTEGER',
    request_processing_time: 'DOUBLE',
    target_processing_time: 'DOUBLE',
    response_processing_time: 'DOUBLE',
    elb_status_code: 'INTEGER',
    target_status_code: 'INTEGER',
    received_bytes: 'BIGINT',
    sent_bytes: 'BIGINT',
    request_verb: 'VARCHAR',
    request_url: 'VARCHAR',
    request_protocol: 'VARCHAR',
    user_agent: 'VARCHAR',
    ssl_cipher: 'VARCHAR',
    ssl_protocol: 'VARCHAR',
    target_group_arn: 'VARCHAR',
    trace_id: 'VARCHAR',
    domain_name: 'VARCHAR',
    chosen_cert_arn: 'VARCHAR',
    matched_rule_priority: 'INTEGER',
    request_creation_time: 'TIMESTAMPTZ',
    actions_executed: 'VARCHAR',
    redirect_url: 'VARCHAR',
    error_reason: 'VARCHAR',
    target_port_list: 'VARCHAR',
    target_status_code_list: 'VARCHAR',
    classification: 'VARCHAR',
    classification_reason: 'VARCHAR',
    conn_trace_id: 'VARCHAR',
  },
} as const satisfies TextOptions & { readonly columns: Columns }

/**
 * Access logs of a Network Load Balancer (TLS listeners): `text(nlbLogs)` with `columns: nlbLogs.columns` and
 * `time: 'time'`. Times are UTC.
 *
 * @see https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-access-logs.html
 */
export const nlbLogs = {
  pattern:
    fields(
      ' ',
      ...['type', 'version', 'time', 'elb', 'listener'].map(word),
      address('client'),
      address('destination'),
      ...['connection_time', 'tls_handshake_time', 'received_bytes', 'sent_bytes', 'incoming_tls_alert'].map(word),
      ...['chosen_cert_arn', 'chosen_cert_serial', 'tls_cipher', 'tls_protocol_version', 'tls_named_group'].map(word),
      word('domain_name'),
    ) +
    later(' ', [
      ...['alpn_fe_protocol', 'alpn_be_protocol'].map(word),
      // As '"h2","http/1.1"', without spaces.
      word('alpn_client_preference_list'),
      word('tls_connection_creation_time'),
    ]),
  nullText: '-',
  suffix: ['.log', '.log.gz'],
  columns: {
    type: 'VARCHAR',
    version: 'VARCHAR',
    time: 'TIMESTAMPTZ NOT NULL',
    elb: 'VARCHAR',
    listener: 'VARCHAR',
    client_ip: 'VARCHAR',
    client_port: 'INTEGER',
    destination_ip: 'VARCHAR',
    destination_port: 'INTEGER',
    connection_time: 'BIGINT',
    tls_handshake_time: 'BIGINT',
    received_bytes: 'BIGINT',
    sent_bytes: 'BIGINT',
    incoming_tls_alert: 'VARCHAR',
    chosen_cert_arn: 'VARCHAR',
    chosen_cert_serial: 'VARCHAR',
    tls_cipher: 'VARCHAR',
    tls_protocol_version: 'VARCHAR',
    tls_named_group: 'VARCHAR',
    domain_name: 'VARCHAR',
    alpn_fe_protocol: 'VARCHAR',
    alpn_be_protocol: 'VARCHAR',
    alpn_client_preference_list: 'VARCHAR',
    tls_connection_creation_time: 'TIMESTAMPTZ',
  },
} as const satisfies TextOptions & { readonly columns: Columns }

const cell = (name: string) => `(?P<${name}>[^\\t]*)`

/**
 * Standard logs of CloudFront, with tabs between fields and two lines of header: `text(cloudFrontLogs)` with
 * `columns: cloudFrontLogs.columns` and `time: 'time'`, which is date and time in one, UTC.
 *
 * @see https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/AccessLogs.html
 */
export const cloudFrontLogs = {
  pattern:
    fields(
      '\\t',
      '(?P<time>[^\\t]+\\t[^\\t]+)',
      ...['edge_location', 'sc_bytes', 'c_ip', 'cs_method', 'cs_host', 'cs_uri_stem', 'sc_status', 'cs_referer'].map(
        cell,
      ),
      ...['cs_user_agent', 'cs_uri_query', 'cs_cookie', 'edge_result_type', 'edge_request_id', 'host_header'].map(cell),
      ...['cs_protocol', 'cs_bytes', 'time_taken', 'forwarded_for', 'ssl_protocol', 'ssl_cipher'].map(cell),
      ...['edge_response_result_type', 'cs_protocol_version'].map(cell),
    ) +
    later(
      '\\t',
      [
        'fle_status',
        'fle_encrypted_fields',
        'c_port',
        'time_to_first_byte',
        'edge_detailed_result_type',
        'sc_content_type',
        'sc_content_len',
        'sc_range_start',
        'sc_range_end',
      ].map(cell),
    ),
  nullText: '-',
  times: { time: '%Y-%m-%d\t%H:%M:%S' },
  comment: '#',
  suffix: '.gz',
  columns: {
    time: 'TIMESTAMPTZ NOT NULL',
    edge_location: 'VARCHAR',
    sc_bytes: 'BIGINT',
    c_ip: 'VARCHAR',
    cs_method: 'VARCHAR',
    cs_host: 'VARCHAR',
    cs_uri_stem: 'VARCHAR',
    sc_status: 'INTEGER',
    cs_referer: 'VARCHAR',
    cs_user_agent: 'VARCHAR',
    cs_uri_query: 'VARCHAR',
    cs_cookie: 'VARCHAR',
    edge_result_type: 'VARCHAR',
    edge_request_id: 'VARCHAR',
    host_header: 'VARCHAR',
    cs_protocol: 'VARCHAR',
    cs_bytes: 'BIGINT',
    time_taken: 'DOUBLE',
    forwarded_for: 'VARCHAR',
    ssl_protocol: 'VARCHAR',
    ssl_cipher: 'VARCHAR',
    edge_response_result_type: 'VARCHAR',
    cs_protocol_version: 'VARCHAR',
    fle_status: 'VARCHAR',
    fle_encrypted_fields: 'VARCHAR',
    c_port: 'INTEGER',
    time_to_first_byte: 'DOUBLE',
    edge_detailed_result_type: 'VARCHAR',
    sc_content_type: 'VARCHAR',
    sc_content_len: 'BIGINT',
    sc_range_start: 'BIGINT',
    sc_range_end: 'BIGINT',
  },
} as const satisfies TextOptions & { readonly columns: Columns }

/**
 * Flow logs of a VPC in the default format (version 2), as they are delivered to S3, with a line of header:
 * `text(vpcFlowLogs)` with `columns: vpcFlowLogs.columns` and `time: 'end_time'`.
 *
 * @see https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html
 */
export const vpcFlowLogs = {
  pattern: fields(
    ' ',
    ...['version', 'account_id', 'interface_id', 'srcaddr', 'dstaddr', 'srcport', 'dstport', 'protocol'].map(word),
    ...['packets', 'bytes', 'start_time', 'end_time', 'action', 'log_status'].map(word),
  ),
  nullText: '-',
  times: { start_time: 'epoch-seconds', end_time: 'epoch-seconds' },
  headerLines: 1,
  suffix: ['.log', '.log.gz'],
  columns: {
    version: 'INTEGER',
    account_id: 'VARCHAR',
    interface_id: 'VARCHAR',
    srcaddr: 'VARCHAR',
    dstaddr: 'VARCHAR',
    srcport: 'INTEGER',
    dstport: 'INTEGER',
    protocol: 'INTEGER',
    packets: 'BIGINT',
    bytes: 'BIGINT',
    start_time: 'TIMESTAMPTZ NOT NULL',
    end_time: 'TIMESTAMPTZ NOT NULL',
    action: 'VARCHAR',
    log_status: 'VARCHAR',
  },
} as const satisfies TextOptions & { readonly columns: Columns }
