#!/usr/bin/env node
// Plain syntax and no static import: an old Node must come far enough to read the message below.

// DuckDB's calls occupy threads of libuv's pool (4 by default) and would starve the file system beside them. The
// pool reads its size at its first use, so this comes before anything else.
if (!process.env.UV_THREADPOOL_SIZE) process.env.UV_THREADPOOL_SIZE = '16'

// Process 1 of a container: the kernel drops its signals while nobody listens, and `docker stop` would end in a kill.
if (process.pid === 1) {
  const numbers = { SIGINT: 2, SIGTERM: 15 } as const
  for (const signal of Object.keys(numbers) as (keyof typeof numbers)[])
    process.on(signal, () => {
      if (process.listenerCount(signal) === 1) process.exit(128 + numbers[signal])
    })
}

const version = process.versions.node.split('.').map(Number)
const major = version[0] || 0
const minor = version[1] || 0

if (major < 22 || (major === 22 && minor < 22)) {
  process.stderr.write(
    'millrace: Node ' +
      process.versions.node +
      ' is too old; expected 22.22 or later, which reads TypeScript itself. ' +
      "Run 'npm i -D node@24' in your project: npx then uses that Node.\n",
  )
  process.exitCode = 2
} else {
  // What one process compiles is there for the next. In a folder of the user's own: whoever can write there has their
  // code run. Without one, or where it cannot be written, Node goes on without.
  const { HOME: home, XDG_CACHE_HOME: cache = home && home + '/.cache' } = process.env
  void import('node:module')
    .then(({ enableCompileCache }) => {
      if (cache) enableCompileCache(cache + '/millrace/compiled')
      return import('./main.ts')
    })
    .then(({ runMain }) => runMain(process.argv.slice(2)))
}

export {}
