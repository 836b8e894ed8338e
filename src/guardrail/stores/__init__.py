"""Stores: state that several processes share.

    protocol                     what admission asks of a store, whoever keeps it
    redis                        RedisStore, the only one so far; all else is behind it
      url  server  contact       where the server is, what its connections share, what its error replies mean
      health  heartbeat          the store's own breaker; how many processes are alive
      frames  flight             calls as bytes; calls that travel in one EVALSHA, and who gets which answer
      scripts  forgetting        what runs in the server, joined from lua/; how states are deleted
      lines                      the connections of this process: one for all threads, one for each event loop
        thread_line  _port  _dial  _link     the queue of threads; getting a connection; one attempt; the socket
        loop_line  _link                     what a tick asks; the transport
      talk  resp                 questions and answers over one connection; the bytes of RESP
      wires  readiness           redis-py's connections, which find, encrypt and authenticate; `poll`

To follow one call of a thread: `redis.admit`, `frames.admit_order`, `thread_line.ask`, `flight.hear`; of a task:
`redis.aadmit`, `loop_line.ask`, `flight.hear`.
"""
