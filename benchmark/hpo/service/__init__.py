"""The HPO service: experiments that any program asks and tells over HTTP and gRPC.

An experiment is a study. `service.py` holds the experiments, `experiment.py` one of them; the wires
(`rest.py`, `v1.py`, `grpc_wire.py`) parse, call and answer.
"""
