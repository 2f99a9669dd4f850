"""Files and text of users: read with bounds, parsed exactly, written and printed safely.

`input_files` and `output_files` refuse devices and pipes, `json_text` and `yaml_text` duplicate
keys; `safe_text` keeps control characters out of terminals and formulas out of spreadsheets;
`removal` deletes folders without following links.
"""
