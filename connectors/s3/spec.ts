import { configError } from '../../src/core/errors.ts'

/** An address in S3, as plain data. */
export interface S3Spec {
  readonly bucket: string
  /** Ends in a slash, or is '': the root that keys are relative to. */
  readonly prefix: string
  readonly region?: string
  readonly endpoint?: string
  readonly pathStyle?: boolean
  readonly requesterPays?: boolean
}

/** An address as it was written: what follows the bucket may name an object, hold wildcards or be a prefix. */
export interface S3Address extends Omit<S3Spec, 'prefix'> {
  /** The key or prefix, literally: nothing is percent-decoded, as in AWS's own tools. */
  readonly path: string
}

const expected = "an S3 address, such as 's3://bucket/prefix/' or 's3://bucket/prefix/?region=eu-central-1'"
const parameterNames = ['region', 'endpoint', 'pathStyle', 'requesterPays'] as const
/** Bytes of a key (S3 user guide, "Naming Amazon S3 objects"). */
export const keyBytesMax = 1024

export function isS3Address(address: string): boolean {
  return /^s3:/i.test(address)
}

/**
 * Reads `s3://bucket/path?region=..&endpoint=..&pathStyle=true&requesterPays=true`.
 *
 * @param field the option that holds the address, for messages
 * @throws MillraceError `user` that names what is malformed. Credentials are refused and not repeated.
 */
export function parseS3Address(address: string, field: string): S3Address {
  const [, rest] = /^s3:\/\/([^\0]+)$/i.exec(address) ?? []
  if (rest === undefined) throw configError(field, shown(address), expected)
  // A '?' is also a wildcard: parameters are what follows the last one and has a '='.
  const mark = rest.lastIndexOf('?')
  const hasParameters = mark >= 0 && rest.slice(mark).includes('=')
  const place = hasParameters ? rest.slice(0, mark) : rest
  const slash = place.indexOf('/')
  const bucket = slash < 0 ? place : place.slice(0, slash)
  const path = slash < 0 ? '' : place.slice(slash + 1)
  if (bucket.includes('@')) throw withoutCredentials(field, address)
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket) || bucket.endsWith('--x-s3'))
    throw configError(
      field,
      shown(address),
      `${expected}, with a general purpose bucket of 3 to 63 lower-case letters, ` +
        `digits, dots and hyphens; found '${bucket}'`,
    )
  if (path.startsWith('/') || path.includes('//'))
    throw configError(field, shown(address), `${expected}, without empty names between slashes`)
  if (Buffer.byteLength(path) > keyBytesMax)
    throw configError(field, shown(address), `${expected}, with at most ${keyBytesMax} bytes after the bucket`)
  return { bucket, path, ...(hasParameters ? readParameters(rest.slice(mark + 1), field, address) : {}) }
}

/** The address as a root of keys: a slash is added where it does not end in one. */
export function toSpec({ path, ...address }: S3Address): S3Spec {
  return { ...address, prefix: path === '' || path.endsWith('/') ? path : `${path}/` }
}

/** The root's address, to be opened again: with its parameters. */
export function addressOf(spec: S3Spec): string {
  const parameters = parameterNames.flatMap(name => (spec[name] === undefined ? [] : [`${name}=${String(spec[name])}`]))
  return `s3://${spec.bucket}/${spec.prefix}${parameters.length > 0 ? `?${parameters.join('&')}` : ''}`
}

function readParameters(query: string, field: string, address: string): Omit<S3Spec, 'bucket' | 'prefix'> {
  const found = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(query)) {
    if (/key|secret|token|credential|password|signature/i.test(name)) throw withoutCredentials(field, address)
    if (!parameterNames.some(known => known === name) || found.has(name))
      throw configError(
        field,
        shown(address),
        `parameters ${parameterNames.join(', ')}, each once; found '${name}'${found.has(name) ? ' again' : ''}`,
      )
    found.set(name, value)
  }
  const flag = (name: 'pathStyle' | 'requesterPays') => {
    const value = found.get(name)
    if (value !== undefined && value !== 'true' && value !== 'false')
      throw configError(`${field}: ${name}`, value, "'true' or 'false'")
    return value === undefined ? {} : { [name]: value === 'true' }
  }
  const region = found.get('region')
  if (region !== undefined && !/^[a-z0-9-]{1,63}$/.test(region))
    throw configError(`${field}: region`, region, "a region, such as 'eu-central-1'")
  const endpoint = found.get('endpoint')
  return {
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint: readEndpoint(endpoint, field, address) }),
    ...flag('pathStyle'),
    ...flag('requesterPays'),
  }
}

function readEndpoint(endpoint: string, field: string, address: string): string {
  const url = URL.parse(endpoint)
  if (url && (url.username !== '' || url.password !== '')) throw withoutCredentials(field, address)
  if (!url || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '')
    throw configError(`${field}: endpoint`, endpoint, "a URL, such as 'http://127.0.0.1:9000'")
  return url.href.replace(/\/$/, '')
}

function withoutCredentials(field: string, address: string) {
  return configError(
    field,
    shown(address),
    `${expected}, without credentials: they come from the environment, a profile or a role (AWS's default chain)`,
  )
}

/** An address as messages show it: what may be a secret is left out. */
function shown(address: string): string {
  const bare = address.replace(/^(s3:\/\/)[^/]*@/i, '$1***@')
  return bare.replace(/\?[^?]*=.*$/s, '?...')
}
