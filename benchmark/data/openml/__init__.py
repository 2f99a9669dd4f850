"""OpenML: data sets are fetched in a process of their own and read with OpenML's types.

`fetch` starts the process, `fetcher` is what runs in it; `source` and `file` read through the
client, `faults` turns OpenML's errors into sentences.
"""
