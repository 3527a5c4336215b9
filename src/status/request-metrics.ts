import { requestKinds } from '../core/requests.ts'
import type { Define, MetricGroup } from './define-metrics.ts'
import type { RequestMeter } from './requests.ts'

/** What services charge for. */
export function requestGroup(define: Define, { totals }: Pick<RequestMeter, 'totals'>): MetricGroup {
  const made = define.counter(
    'millrace_requests_total',
    'Requests to S3, by how it prices them (put, list, get, delete), and to queues (queue).',
    'kind',
  )
  return {
    watch() {
      made.reset()
      for (const kind of requestKinds) made.inc({ kind }, totals[kind])
    },
  }
}
