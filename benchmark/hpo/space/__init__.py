"""Search spaces: tunables, the conditions they depend on, forbidden combinations, layers.

`space_file.read_space` checks a declaration and reports all faults at once;
`search_space.Space` is the samplers' input. Expressions are evaluated without eval.
Nothing here opens a store or knows what is measured.
"""
