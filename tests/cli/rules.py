"""The rules that the tests of `explain` ask about."""

RULES = """\
version: 1
rules:
  - name: per-user
    resource: orders.create
    kind: limit
    rate: 100/min
    burst: 20
    key: user
    overrides: {vip: 600/min}
    max_wait: 1s
  - name: free-plan
    resource: orders.**
    except: [orders.status]
    when: {plan: [free, trial], origin: "!billing"}
    kind: limit
    rate: 1_000/h
    algorithm: sliding_window
    key: [user|client.ip, header.x-tenant]
    cost: weight
    mode: shadow
  - name: places
    resource: orders.create
    kind: bulkhead
    max_concurrent: 10
    max_wait: 500ms
    max_queue: 50
  - name: warehouse
    resource: [orders.create, stock.*]
    kind: breaker
    slow_call: 2s
    consecutive_failures: 5
    open_for_max: 1m
    ignore: [ValueError]
  - name: old
    resource: orders.create
    kind: limit
    rate: 5/s
    mode: off
  - name: carts
    resource: carts.**
    kind: limit
    rate: 5/s
"""
