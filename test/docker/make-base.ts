import { execFile } from 'node:child_process'
import { globSync } from 'node:fs'
import { cp, mkdir, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { nodeBinary } from '../cli/child.ts'

const exec = promisify(execFile)

const npm = 'npm@11.19.1'

/** What the build stages call, .ci/build included. */
const buildTools = [
  'bash',
  'chmod',
  'cp',
  'dirname',
  'env',
  'find',
  'grep',
  'gzip',
  'ln',
  'mkdir',
  'rm',
  'sh',
  'tar',
  'touch',
]

/** The binary part of rolldown for this machine. */
const [bundler = ''] = globSync('node_modules/@rolldown/binding-*/*.node')

/**
 * Makes a root file system for an image from this Linux machine, where no image can be pulled: its Node and the
 * libraries that Node loads. With `tools`, also npm and what the build stages call; without, there is no shell.
 */
export async function makeBase(root: string, { tools }: { readonly tools: boolean }): Promise<void> {
  await mkdir(join(root, 'tmp'), { recursive: true })
  await mkdir(join(root, 'etc'))
  await writeFile(join(root, 'etc/passwd'), 'root:x:0:0:root:/tmp:/\n')
  await writeFile(join(root, 'etc/group'), 'root:x:0:\n')
  await writeFile(join(root, 'etc/nsswitch.conf'), 'hosts: files dns\n')
  await addProgram(root, nodeBinary, '/usr/local/bin/node')
  if (!tools) return

  for (const tool of buildTools) {
    const { stdout } = await exec('sh', ['-c', `command -v ${tool}`])
    await addProgram(root, stdout.trim(), `/usr/bin/${tool}`)
  }
  await symlink('usr/bin', join(root, 'bin'))
  // All of glibc is in a real base; the bundler is linked with more of it than Node.
  await addLibraries(root, bundler)
  // Debian scatters the parts of its npm over the machine: npm's own package is whole.
  const modules = join(root, 'usr/local/lib/node_modules')
  await mkdir(modules, { recursive: true })
  await exec('npm', ['pack', '--silent', `--pack-destination=${modules}`, npm])
  await exec('tar', [
    '-C',
    modules,
    '-xzf',
    join(modules, `${npm.replace('@', '-')}.tgz`),
    '--transform=s/^package/npm/',
  ])
  await rm(join(modules, `${npm.replace('@', '-')}.tgz`))
  await symlink('../lib/node_modules/npm/bin/npm-cli.js', join(root, 'usr/local/bin/npm'))
  // A registry behind a proxy of its own authority is trusted by the machine, and has to be by the build.
  const authorities = process.env.NODE_EXTRA_CA_CERTS
  if (authorities) await cp(authorities, join(root, baseAuthorities), { dereference: true })
}

/** Where the authorities of $NODE_EXTRA_CA_CERTS lie in a base with tools. */
export const baseAuthorities = '/etc/extra-ca.pem'

/** A program of this machine, under another path, and the libraries that it loads. */
export async function addProgram(root: string, from: string, to: string): Promise<void> {
  await add(root, await realpath(from), to)
  await addLibraries(root, from)
}

/** The libraries that a program or another library of this machine is linked with. */
export async function addLibraries(root: string, from: string): Promise<void> {
  const { stdout } = await exec('ldd', [from])
  // 'libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x...)', and the loader without an arrow.
  for (const [, library] of stdout.matchAll(/(?:=>|^)\s*(\/\S+) \(0x/gm)) {
    if (library !== undefined) await add(root, await realpath(library), library)
  }
}

async function add(root: string, from: string, to: string): Promise<void> {
  const target = join(root, to)
  await mkdir(dirname(target), { recursive: true })
  await cp(from, target, { force: true })
}
