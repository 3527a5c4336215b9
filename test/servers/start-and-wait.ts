// Starts a server and tells where, then waits to be killed. Run by servers.test.ts.
import { startServer } from './server.ts'

const listen = "require('node:net').createServer().listen(Number(process.argv[1]), '127.0.0.1')"
const server = await startServer('example', 1, async ({ ports: [port] }) => ({
  command: process.execPath,
  args: ['-e', listen, String(port)],
  endpoint: `127.0.0.1:${port}`,
}))
console.log(server.endpoint)
setInterval(() => {}, 60_000)
