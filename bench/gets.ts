/**
 * GETs of S3 as they are sent (connectors/s3/plain-get.ts) beside those of the SDK's client, in turns, against a server
 * in a process of its own: CPU time of this process a request, and requests a second in 16 lanes.
 *
 * node bench/gets.ts [bytes of an object = 40000] [requests a turn = 4000]
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Readable } from 'node:stream'
import { GetObjectCommand } from '@aws-sdk/client-s3'
import { createS3Client } from '../connectors/s3/client.ts'
import { createGet, type Get } from '../connectors/s3/plain-get.ts'

const lanes = 16
const turns = 5
const [bytes = 40_000, requests = 4_000] = process.argv.slice(2).map(Number)

function serve(): void {
  const body = Buffer.alloc(bytes, 'a')
  const headers = { etag: '"e"', 'content-length': body.length, 'last-modified': new Date(0).toUTCString() }
  const server = createServer((_, response) => response.writeHead(200, headers).end(body))
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
}

async function measured(get: Get): Promise<{ readonly cpuMs: number; readonly rate: number }> {
  let next = 0
  const cpu = process.cpuUsage()
  const from = performance.now()
  const lane = async () => {
    while (next < requests) {
      const { Body } = await get({ Bucket: 'bench', Key: `month=01/part-${next++}.json`, IfMatch: '"e"' })
      for await (const _ of Body as Readable);
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  const { user, system } = process.cpuUsage(cpu)
  return { cpuMs: (user + system) / 1_000 / requests, rate: (requests / (performance.now() - from)) * 1_000 }
}

async function compare(): Promise<void> {
  const server = fork(import.meta.filename, process.argv.slice(2), { env: { ...process.env, BENCH_SERVER: '1' } })
  const [port] = (await once(server, 'message')) as [number]
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'secret', AWS_REGION: 'us-east-1' })
  const client = await createS3Client({ bucket: 'bench', endpoint: `http://127.0.0.1:${port}` }, 'bench')
  const sides = { sdk: (asked => client.send(new GetObjectCommand(asked))) as Get, millrace: createGet(client) }
  for (const get of Object.values(sides)) await measured(get)
  const found = { sdk: [] as number[], millrace: [] as number[] }
  for (let turn = 1; turn <= turns; turn++)
    for (const [side, get] of Object.entries(sides)) {
      const { cpuMs, rate } = await measured(get)
      found[side as keyof typeof found].push(cpuMs)
      console.log(`turn ${turn}  ${side.padEnd(8)}  ${cpuMs.toFixed(3)} ms CPU a request, ${rate.toFixed(0)}/s`)
    }
  const median = (all: number[]) => all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)] as number
  console.log(`ratio of CPU, medians: ${(median(found.millrace) / median(found.sdk)).toFixed(2)}`)
  client.destroy()
  server.kill()
}

if (process.env.BENCH_SERVER) serve()
else await compare()
