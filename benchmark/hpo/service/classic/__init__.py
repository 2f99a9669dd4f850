"""The classic API of Kruize HPO, over REST and gRPC.

`contract` has the operations, `checks` the bodies, `phrases` the sentences that clients compare.
`grpc_wire` and the generated `hpo_pb2` serve it over gRPC; the source is `hpo.proto`.
"""
