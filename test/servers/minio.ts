import { join } from 'node:path'
import { installed } from './installed.ts'
import { answers, foreignServer, type Server, startServer } from './server.ts'

/** What every S3 server here is started with. */
export const S3_CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'testtest' } as const

export interface MinioOptions {
  /** Bucket notifications under the ARN `arn:minio:sqs::PRIMARY:kafka`. */
  readonly kafka?: { readonly brokers: string; readonly topic: string }
}

/** MinIO on a folder of its own; $MILLRACE_S3 where that is set and nothing else is asked for. */
export async function startMinio(options: MinioOptions = {}): Promise<Server> {
  const { kafka } = options
  if (process.env.MILLRACE_S3 && !kafka) return foreignServer(process.env.MILLRACE_S3)
  const binary = join(await installed('minio'), 'minio')
  return startServer('minio', 1, async ({ folder, ports: [port] }) => ({
    command: binary,
    args: ['server', '--quiet', '--address', `127.0.0.1:${port}`, join(folder, 'data')],
    env: {
      MINIO_ROOT_USER: S3_CREDENTIALS.accessKeyId,
      MINIO_ROOT_PASSWORD: S3_CREDENTIALS.secretAccessKey,
      MINIO_BROWSER: 'off',
      MINIO_UPDATE: 'off',
      MINIO_CI_CD: '1',
      HOME: folder,
      ...(kafka && {
        MINIO_NOTIFY_KAFKA_ENABLE_PRIMARY: 'on',
        MINIO_NOTIFY_KAFKA_BROKERS_PRIMARY: kafka.brokers,
        MINIO_NOTIFY_KAFKA_TOPIC_PRIMARY: kafka.topic,
      }),
    },
    endpoint: `http://127.0.0.1:${port}`,
    isReady: () => answers(`http://127.0.0.1:${port}/minio/health/ready`),
  }))
}
