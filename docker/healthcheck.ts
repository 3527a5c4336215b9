// The image's HEALTHCHECK: asks the daemon's /healthz, at $MILLRACE_HEALTH where `run --http` names another address.
// A backfill serves none; it is healthy while it runs.

const named = process.env.MILLRACE_HEALTH
try {
  const response = await fetch(named ?? 'http://127.0.0.1:9464/healthz')
  console.log(`${response.status} ${await response.text()}`)
  if (!response.ok) process.exitCode = 1
} catch (error) {
  const cause = error instanceof Error ? (error.cause as NodeJS.ErrnoException | undefined) : undefined
  console.log(String(cause ?? error))
  if (named !== undefined || cause?.code !== 'ECONNREFUSED') process.exitCode = 1
}
