import { HeadBucketCommand } from '@aws-sdk/client-s3'
import type { Bucket } from './bucket.ts'

/**
 * The server that requests of a bucket go to, 'https://bucket.s3.eu-west-1.amazonaws.com', whatever has named it: the
 * address, a variable or a profile. A request is made for it, and is not sent.
 */
export async function serverOf({ client, name: Bucket }: Pick<Bucket, 'client' | 'name'>): Promise<string> {
  let server = ''
  const command = new HeadBucketCommand({ Bucket })
  command.middlewareStack.add(
    () => async args => {
      const { protocol, hostname, port } = args.request as {
        readonly protocol: string
        readonly hostname: string
        readonly port?: number
      }
      server = `${protocol}//${hostname}${port === undefined ? '' : `:${port}`}`
      return { response: undefined, output: { $metadata: {} } }
    },
    // The request has its address by now. What comes after signs and sends it.
    { step: 'serialize', priority: 'low', name: 'millraceServer' },
  )
  await client.send(command)
  return server
}
