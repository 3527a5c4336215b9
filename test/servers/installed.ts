import { execFile } from 'node:child_process'
import { join } from 'node:path'

export type Installable =
  | 'minio'
  | 'versitygw'
  | 'kafka-4.4.0'
  | 'kafka-3.9.2'
  | 'kafka-tools-4.4.0'
  | 'elasticmq'
  | 'ministack'
  | 's3mock'
  | 'lake-readers'
  | 'iceberg-rest'
  | 'spark'

/** A server that this machine cannot get: its message is what the installation said. */
export class MissingServer extends Error {
  override readonly name = 'MissingServer'
}

/** The folder of an installed server; installs it when it is not there, which can take minutes. */
export function installed(name: Installable): Promise<string> {
  const script = join(import.meta.dirname, 'install')
  return new Promise((resolve, reject) => {
    execFile(script, [name], { encoding: 'utf8' }, (error, stdout, stderr) => {
      const folder = stdout.trim().split('\n').at(-1) ?? ''
      if (error === null && folder !== '') resolve(folder)
      else
        reject(
          new MissingServer(
            `${name} cannot be installed: ${stderr.trim().slice(-2_000) || (error?.message ?? 'no folder')}`,
          ),
        )
    })
  })
}
