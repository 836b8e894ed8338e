"""`guardrail doctor`: what around a deployment can hurt, each finding with what it means and what to do.

options  command  report     what can be typed; all looks in order; how findings are said
finding                      one finding, and how bad it is
interpreter  libraries       this Python, and what is installed beside guardrail
switch  rules  files         the kill switch; whether rules can be used; how files change, and who may change them
sharing  proxies             what rules ask of a store; whose word is taken for who is calling
store                        the looks at a server, in order
  dial  visit  facts         connecting as a store does; asking; what the server says of itself
  reach  privacy             how far away it is, and whose clock is right; who can listen
  role  headroom  persistence    what kind of server it is; memory and connections; what a restart forgets
  rights  scripting  keyspace    what its user may; whether our scripts run; what is kept there
"""
