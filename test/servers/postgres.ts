import { execFile } from 'node:child_process'
import { chown, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { MissingServer } from './installed.ts'
import { foreignServer, type Server, startServer } from './server.ts'

export interface PostgresServerOptions {
  /** Lines of postgresql.conf. */
  readonly settings?: readonly string[]
  /** Lines of pg_hba.conf, before those that let everybody of this machine in. */
  readonly logins?: readonly string[]
  /** Called with the folder of the cluster before the server starts in it. */
  readonly prepare?: (data: string) => Promise<void>
}

/**
 * PostgreSQL of Debian on a new cluster; its endpoint is an address with the superuser `millrace`, who needs no password.
 * $MILLRACE_POSTGRES where nothing is asked for.
 */
export async function startPostgres(options: PostgresServerOptions = {}): Promise<Server> {
  if (process.env.MILLRACE_POSTGRES && Object.keys(options).length === 0)
    return foreignServer(process.env.MILLRACE_POSTGRES)
  const binaries = await findBinaries()
  const user = await findUser()
  return startServer('postgres', 1, async ({ folder, ports: [port] }) => {
    const data = join(folder, 'data')
    if (user) await chown(folder, user.uid, user.gid)
    const init = ['-D', data, '-U', 'millrace', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync']
    const initdb = commandAs(user, join(binaries, 'initdb'), init)
    await promisify(execFile)(initdb.command, initdb.args, { cwd: folder })
    const logins = join(data, 'pg_hba.conf')
    await writeFile(logins, [...(options.logins ?? []), await readFile(logins, 'utf8')].join('\n'))
    await options.prepare?.(data)
    const settings = [
      `port=${port}`,
      'listen_addresses=127.0.0.1',
      `unix_socket_directories=${folder}`,
      // A killed process loses nothing that it has written: only a machine would.
      'fsync=off',
      'shared_buffers=16MB',
      'max_connections=40',
      'autovacuum=off',
      ...(options.settings ?? []),
    ]
    const args = ['-D', data, ...settings.flatMap(setting => ['-c', setting])]
    return {
      ...commandAs(user, join(binaries, 'postgres'), args),
      endpoint: `postgres://millrace@127.0.0.1:${port}/postgres`,
      isReady: () => isReady(join(binaries, 'pg_isready'), port as number),
    }
  })
}

/** Runs `psql` of the same version: what it prints, rows on lines with | between values. */
export async function psql(server: Pick<Server, 'endpoint'>, sql: string): Promise<string> {
  const args = ['--no-psqlrc', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', server.endpoint, '-c', sql]
  const { stdout } = await promisify(execFile)(join(await findBinaries(), 'psql'), args, {
    maxBuffer: 256 * 1024 * 1024,
    env: { ...process.env, PGTZ: 'UTC', PGDATESTYLE: 'ISO, YMD' },
  })
  return stdout.replace(/\n$/, '')
}

async function isReady(command: string, port: number): Promise<boolean> {
  await promisify(execFile)(command, ['-q', '-h', '127.0.0.1', '-p', String(port), '-d', 'postgres'])
  return true
}

const versions = '/usr/lib/postgresql'

async function findBinaries(): Promise<string> {
  const found = await readdir(versions).catch(() => [])
  const newest = found
    .map(Number)
    .filter(Number.isInteger)
    .toSorted((a, b) => b - a)[0]
  if (newest !== undefined) return join(versions, String(newest), 'bin')
  throw new MissingServer(`PostgreSQL is not installed in ${versions}; install it (Debian: postgresql)`)
}

/** The server refuses to run as root: it takes the user that Debian's package has made. */
async function findUser(): Promise<{ readonly uid: number; readonly gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const ask = async (flag: string) => Number((await promisify(execFile)('id', [flag, 'postgres'])).stdout)
  return { uid: await ask('-u'), gid: await ask('-g') }
}

function commandAs(
  user: { readonly uid: number; readonly gid: number } | undefined,
  command: string,
  args: readonly string[],
): { readonly command: string; readonly args: readonly string[] } {
  if (!user) return { command, args }
  return {
    command: 'setpriv',
    args: [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups', command, ...args],
  }
}
