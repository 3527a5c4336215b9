import type { SignatureV4 } from '@smithy/signature-v4'

/** How calls of a catalog at AWS are signed. */
export interface SigV4 {
  /** 's3tables' or 'glue' */
  readonly service: string
  /** Default: the environment's. */
  readonly region?: string
}

/** Gives the headers of a call with its signature. */
export type Signed = (
  method: string,
  url: URL,
  headers: Readonly<Record<string, string>>,
  body: string | undefined,
) => Promise<Record<string, string>>

/** Signs as the AWS SDK does, whose chain finds the credentials, and asks for them anew when they end. */
export function signerFor(how: SigV4): Signed {
  let opened: Promise<SignatureV4> | undefined
  return async (method, url, headers, body) => {
    opened ??= openSigner(how)
    const signer = await opened
    const query: Record<string, string | string[]> = {}
    for (const name of new Set(url.searchParams.keys())) query[name] = url.searchParams.getAll(name)
    const signed = await signer.sign({
      method,
      protocol: url.protocol,
      hostname: url.hostname,
      ...(url.port !== '' && { port: Number(url.port) }),
      path: url.pathname,
      query,
      headers: { ...headers, host: url.host },
      ...(body !== undefined && { body }),
    })
    return signed.headers
  }
}

/** Loads the SDK, which takes a tenth of a second of CPU time: without this every start would pay for it. */
async function openSigner({ service, region }: SigV4): Promise<SignatureV4> {
  const { SQSClient } = await import('@aws-sdk/client-sqs')
  const { SignatureV4 } = await import('@smithy/signature-v4')
  // A client of the SDK for its chain of credentials, its region and its hash: it sends nothing.
  const { config } = new SQSClient(region === undefined ? {} : { region })
  return new SignatureV4({ service, region: config.region, credentials: config.credentials, sha256: config.sha256 })
}
