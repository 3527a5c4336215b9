import { S3Client } from '@aws-sdk/client-s3'
import { configError } from '../../src/core/errors.ts'
import type { S3Spec } from './spec.ts'

/** A connection that is not there after this is tried again. */
const connectMsMax = 5_000
/** A server that says nothing for so long has lost the request. S3 itself gives up on idle sockets after 20 s. */
const idleMsLimit = 30_000
const socketsMax = 64
/** For servers that have no regions. */
const anyRegion = 'us-east-1'

export interface S3ClientOptions {
  /** Default: the process's environment. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** For tests. */
  readonly idleMsMax?: number
}

/**
 * The SDK's client of one address. Region and credentials come from the SDK's default chain where the address does not
 * say. The SDK repeats nothing: a conditional write that is sent twice may meet itself (P6), and reads are repeated,
 * body included, by the store.
 *
 * @throws MillraceError `user` where there is neither a region nor an endpoint of one's own
 */
export async function createS3Client(
  spec: Omit<S3Spec, 'prefix'>,
  field: string,
  { env = process.env, idleMsMax = idleMsLimit }: S3ClientOptions = {},
): Promise<S3Client> {
  const hasEndpoint = [spec.endpoint, env.AWS_ENDPOINT_URL_S3, env.AWS_ENDPOINT_URL].some(url => url)
  const settings = {
    ...(spec.endpoint === undefined ? {} : { endpoint: spec.endpoint }),
    // Servers of one's own seldom have a DNS name for each bucket.
    forcePathStyle: spec.pathStyle ?? hasEndpoint,
    maxAttempts: 1,
    followRegionRedirects: false,
    // Ranges have no checksum of their own; length is checked here, SHA-256 or page checksums above.
    responseChecksumValidation: 'WHEN_REQUIRED',
    // Checksums of bodies are computed by the store, so that no server needs to know trailers.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    // With it each such body would have a connection of its own.
    expectContinueHeader: false,
    // It would warn of what is answered to the caller, on the console.
    logger: { trace() {}, debug() {}, info() {}, warn() {}, error() {} },
    requestHandler: {
      connectionTimeout: connectMsMax,
      socketTimeout: idleMsMax,
      // HTTP_PROXY, HTTPS_PROXY and NO_PROXY, by Node itself.
      httpAgent: { maxSockets: socketsMax, proxyEnv: env },
      httpsAgent: { maxSockets: socketsMax, proxyEnv: env },
    },
  } as const
  const client = new S3Client({ ...settings, ...(spec.region === undefined ? {} : { region: spec.region }) })
  try {
    await client.config.region()
    return client
  } catch (error) {
    client.destroy()
    if (hasEndpoint) return new S3Client({ ...settings, region: anyRegion })
    throw configError(
      field,
      `s3://${spec.bucket}`,
      "a region: add '?region=...' to the address, or set AWS_REGION or a region in the profile",
      error,
    )
  }
}
