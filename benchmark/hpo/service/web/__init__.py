"""What both HTTP APIs need: limits of connections, tokens, bodies, threads, logs, pages, plots.

`connections` limits a connection, `guard` checks a request, `bodies` reads JSON exactly, `metrics`
and `access_log` observe, `pages` and `plots` are what a browser shows.
"""
