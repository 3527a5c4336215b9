import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { installed } from './installed.ts'

/** Readers of lake tables that are not ours: deltalake, pyiceberg, and DuckDB with its extensions. */
export interface LakeReaders {
  /**
   * Runs a Python script and gives what it passes to `answer(...)`, a list or dict whose times, decimals and the like
   * become text.
   *
   * - `args` are the arguments
   * - `duckdb_with('ducklake', ...)` is a connection with these extensions
   *
   * @throws Error with what Python said
   */
  ask(script: string, ...args: readonly string[]): Promise<unknown>
  stop(): Promise<void>
}

const prelude = `
import glob, json, os, sys
args = sys.argv[1:]

def answer(value):
    print('ANSWER ' + json.dumps(value, default=str))

def duckdb_with(*names):
    import duckdb
    connection = duckdb.connect(config={'autoinstall_known_extensions': 'false', 'autoload_known_extensions': 'false'})
    connection.execute("SET TimeZone = 'UTC'")
    for name in names:
        pattern = os.path.join(sys.prefix, 'lib/python3*/site-packages/duckdb_extension_' + name, 'extensions/*/*.duckdb_extension')
        connection.execute("LOAD '" + glob.glob(pattern)[0] + "'")
    return connection
`

export async function openLakeReaders(): Promise<LakeReaders> {
  const python = join(await installed('lake-readers'), 'bin', 'python')
  return {
    async ask(script, ...args) {
      const { stdout } = await promisify(execFile)(python, ['-c', `${prelude}\n${script}`, ...args], {
        maxBuffer: 1 << 28,
        env: { ...process.env, TZ: 'UTC' },
      })
      const line = stdout.split('\n').find(each => each.startsWith('ANSWER '))
      if (line === undefined) throw new Error(`the script answered nothing: ${stdout}`)
      return JSON.parse(line.slice('ANSWER '.length)) as unknown
    },
    stop: async () => {},
  }
}
