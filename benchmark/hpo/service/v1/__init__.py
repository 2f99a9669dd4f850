"""The modern API, `/v1`: its routes and the models of its bodies.

`routes` adds it to an application. Everything here is HTTP; what is done is done by `core`.
"""
