"""The HPO service: experiments that any program asks and tells over HTTP and gRPC.

An experiment is a study. `core` holds the experiments and `backends` keeps them; `classic` and `v1`
are the two APIs, `web` is what both need of HTTP. `app` puts them together, `server` runs them.
"""
