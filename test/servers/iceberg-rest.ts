import { join } from 'node:path'
import { installed } from './installed.ts'
import { S3_CREDENTIALS } from './minio.ts'
import { type Server, startServer } from './server.ts'

/** The REST catalog that Apache Iceberg tests its own clients with: tables in SQLite, their files in this bucket. */
export async function startIcebergRest(s3: string, warehouse: string): Promise<Server> {
  const libs = join(await installed('iceberg-rest'), 'libs', '*')
  return startServer('iceberg-rest', 1, async ({ folder, ports: [port] }) => ({
    command: 'java',
    args: ['-Xmx256m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-cp', libs].concat(
      'org.apache.iceberg.rest.RESTCatalogServer',
    ),
    env: {
      CATALOG_REST_PORT: String(port),
      CATALOG_WAREHOUSE: warehouse,
      CATALOG_CATALOG__IMPL: 'org.apache.iceberg.jdbc.JdbcCatalog',
      CATALOG_URI: `jdbc:sqlite:${join(folder, 'catalog.db')}`,
      CATALOG_JDBC_SCHEMA__VERSION: 'V1',
      CATALOG_IO__IMPL: 'org.apache.iceberg.aws.s3.S3FileIO',
      CATALOG_S3_ENDPOINT: s3,
      CATALOG_S3_PATH__STYLE__ACCESS: 'true',
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: S3_CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: S3_CREDENTIALS.secretAccessKey,
    },
    endpoint: `http://127.0.0.1:${port}`,
  }))
}
